"""What lives as long as the instance, and what the function puts around its calls."""
