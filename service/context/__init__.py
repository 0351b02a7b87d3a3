"""What a handler can know about its call: the context and its parts."""
