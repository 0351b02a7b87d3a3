"""`python -m service`: one file for each command."""
