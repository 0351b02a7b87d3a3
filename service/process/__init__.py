"""One process, from its start to its exit code."""
