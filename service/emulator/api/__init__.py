"""Function Compute's own API, as its clients call it."""
