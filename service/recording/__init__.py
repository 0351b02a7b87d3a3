"""Calls that are recorded, read back, sent again, and compared."""
