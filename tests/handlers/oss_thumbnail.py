# mypy: ignore-errors
# ruff: noqa: UP031
# The two lines above are the project's; the rest is a user's own style.
# Triggered by OSS: works out where the thumbnail of an uploaded picture goes.
import json
import os
import urllib.request

SIZES = {"small": 128, "medium": 256}


def download(bucket, key, creds):
    # oss2.Bucket(oss2.StsAuth(...)).get_object(key) in the real function
    urllib.request.urlopen("%s/%s/%s" % (os.environ["OSS_ENDPOINT"], bucket, key)).read()
    return "%s/%s as %s" % (bucket, key, creds.access_key_id)


def handler(event, context):
    logger = context.getLogger()
    creds = context.credentials
    evt = json.loads(event)["events"][0]
    bucket_name = evt["oss"]["bucket"]["name"]
    object_key = evt["oss"]["object"]["key"]
    logger.info("thumbnail of %s, memory %d MB", object_key, context.function.memory)

    base, ext = os.path.splitext(object_key)
    source = download(bucket_name, object_key, creds)
    print("downloaded", source)
    return {
        "requestId": context.request_id,
        "source": source,
        "region": evt["region"],
        "targets": ["thumbnails/%s-%d%s" % (base, px, ext) for px in sorted(SIZES.values())],
    }
