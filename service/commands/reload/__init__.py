"""`--reload`: a changed file is served at once, and calls in flight finish on the old code."""
