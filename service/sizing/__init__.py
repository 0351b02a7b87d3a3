"""Which concurrency: a handler measured, what a call takes, what to deploy, what a fleet does."""
