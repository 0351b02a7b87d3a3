"""Puts the files of each archive that is uploaded to a bucket beside it."""

import logging
import os
import tempfile
import zipfile

import alibabacloud_oss_v2 as oss
from fc_event_service import Context
from fc_event_service.events import OssEvent

ENDPOINT = os.environ.get("OSS_ENDPOINT", "")
logger = logging.getLogger(__name__)


def handler(event: OssEvent, context: Context) -> list[str]:
    """Return the keys of the files. A plain `def`: each call has a thread of its own."""
    client = context.client("oss", endpoint=ENDPOINT, use_internal_endpoint=True)
    info = event.events[0].oss
    bucket, key = info.bucket.name, info.object.decoded_key
    found = client.get_object(oss.GetObjectRequest(bucket=bucket, key=key))
    written = []
    with tempfile.TemporaryFile() as local:
        with found.body as body:
            local.write(body.read())
        with zipfile.ZipFile(local) as archive:
            for name in archive.namelist():
                if not name.endswith("/"):
                    target = os.environ["TARGET"] + name
                    request = oss.PutObjectRequest(bucket, target, body=archive.read(name))
                    client.put_object(request)
                    written.append(target)
    logger.info("%s: %d files", key, len(written))
    return written
