"""Pictures: their one look on light and on dark ground, and what draws without a library."""
