"""A function's project, written for its author: from nothing, or from one of a built-in runtime."""
