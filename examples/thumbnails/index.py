"""Makes a thumbnail of each picture that is uploaded to a bucket."""

import io
import os
from typing import Any

import alibabacloud_oss_v2 as oss
from PIL import Image

from service import Context
from service.events import OssEvent
from service.events.oss import OssInfo

SIZE = (256, 256)
FOLDER = "thumbnails/"
# The region's internal one, unless a test names another.
ENDPOINT = os.environ.get("OSS_ENDPOINT", "")


def client_of(context: Context) -> Any:
    """Return the client that all calls use; each request is signed with the newest credentials."""
    return context.client("oss", endpoint=ENDPOINT, use_internal_endpoint=True)


def initialize(context: Context) -> None:
    """Import the SDK and make the client before the first call."""
    client_of(context)


def handler(event: OssEvent, context: Context) -> list[str]:
    """Return the keys of the thumbnails. A plain `def` runs in a thread, so that OSS may take its
    time, and Pillow, which lets other threads go on while it scales.
    """
    client = client_of(context)
    pictures = [record.oss for record in event.events if not is_thumbnail(record.oss)]
    return [make_thumbnail(client, picture) for picture in pictures]


def is_thumbnail(info: OssInfo) -> bool:
    """Return whether it is one of ours: its upload calls the function, too."""
    return info.object.decoded_key.startswith(FOLDER)


def make_thumbnail(client: Any, info: OssInfo) -> str:
    """Read a picture, scale it down, and put the thumbnail beside it; return its key."""
    bucket, key = info.bucket.name, info.object.decoded_key
    found = client.get_object(oss.GetObjectRequest(bucket=bucket, key=key))
    with found.body as body, Image.open(io.BytesIO(body.read())) as picture:
        size = picture.size
        picture.thumbnail(SIZE)
        small = io.BytesIO()
        picture.convert("RGB").save(small, "JPEG")
    made = f"{FOLDER}{key.rpartition('.')[0] or key}.jpg"
    client.put_object(oss.PutObjectRequest(bucket=bucket, key=made, body=small.getvalue()))
    print(f"{key}: {size[0]}x{size[1]} to {picture.size[0]}x{picture.size[1]}")
    return made
