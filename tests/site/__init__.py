"""The documentation's site: its pages as they are in the repository, and the reference."""
