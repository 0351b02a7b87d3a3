"""What tests of a function are made of: the fixtures of the pytest plugin, a virtual clock."""
