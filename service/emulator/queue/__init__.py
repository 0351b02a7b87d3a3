"""Asynchronous calls: kept, scheduled, tried again, their results sent on."""
