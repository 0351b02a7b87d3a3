"""What the documentation shows in blocks: each is run, or it is said why it is not."""
