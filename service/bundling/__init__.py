"""The code package of a function: its files, its packages for the runtime, and what starts it."""
