"""The console of one running service: `python -m service --console`, at a desk."""
