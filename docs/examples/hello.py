"""The twin of Function Compute's Flask sample: prints the event, answers `Hello, World!`.

The marker lines around it, `FC Invoke Start` and `FC Invoke End`, are the service's work.
"""


async def handler(event, context):
    """Print what came in; greet."""
    print(event.decode())
    return "Hello, World!"
