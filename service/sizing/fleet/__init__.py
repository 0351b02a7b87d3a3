"""Many instances of what was measured: which there are while calls come, and their bill."""
