"""Clients of other services that are made once and serve all calls."""
