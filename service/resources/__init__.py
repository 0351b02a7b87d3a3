"""What all calls share: values that are fetched once and kept, parameters and secrets."""
