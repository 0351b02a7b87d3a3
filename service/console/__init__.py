"""A page for one person at a desk that shows what functions do as it happens: the server's side of
it, whatever is shown. docs/console.md says what the page can do.
"""
