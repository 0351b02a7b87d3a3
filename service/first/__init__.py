"""What the service's process does before anything is imported."""
