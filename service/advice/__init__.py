"""What in a function's code is not ready for many calls at once, by reading it, not running it."""
