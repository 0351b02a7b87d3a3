"""One instance at each concurrency: its load, and what is seen of it."""
