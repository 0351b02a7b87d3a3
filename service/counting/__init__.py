"""Numbers that are counted in several processes and told as one."""
