"""Several processes on one listening socket."""
