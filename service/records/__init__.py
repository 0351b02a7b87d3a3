"""Batches handled record by record: `each`."""
