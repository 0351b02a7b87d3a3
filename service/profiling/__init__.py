"""Where a handler's time goes. Imported only if a profile is asked for."""
