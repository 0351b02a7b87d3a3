"""One call, from its event to its result."""
