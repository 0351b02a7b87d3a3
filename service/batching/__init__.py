"""Concurrent calls of one function that are handed to it together."""
