"""An instance of a function: its processes, its life, its calls."""
