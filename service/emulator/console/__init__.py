"""The console of an emulator: what it shows of functions, instances, calls and tasks, and what it
does to them.
"""
