"""fc-event-service for the conformance table: the event, as it is."""


async def handler(event: bytes, context):
    """Answer with the event."""
    return event
