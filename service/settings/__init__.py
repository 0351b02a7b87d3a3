"""Every setting: what it is, what it may be, and where its value comes from."""
