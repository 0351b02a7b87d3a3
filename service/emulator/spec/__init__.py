"""What `s.yaml` says: its text, its references, its rules, the functions in it."""
