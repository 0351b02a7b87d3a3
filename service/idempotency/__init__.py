"""Events that come twice and are handled once. Imported only by functions that use it."""
