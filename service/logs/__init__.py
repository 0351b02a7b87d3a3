"""Whose line it is, its form, and how it leaves."""
