"""Everything that serves calls in one process, and what an instance's processes do together."""
