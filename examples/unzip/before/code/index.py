import json
import logging
import os
import shutil
import zipfile

import alibabacloud_oss_v2 as oss

LOCAL = "/tmp/archive.zip"
WORK_DIR = "/tmp/unzipped"
client = None
written = []


def get_client(context):
    global client
    if client is None:
        creds = context.credentials
        provider = oss.credentials.StaticCredentialsProvider(
            creds.access_key_id, creds.access_key_secret, creds.security_token
        )
        config = oss.config.load_default()
        config.credentials_provider = provider
        config.region = context.region
        config.endpoint = os.environ.get("OSS_ENDPOINT")
        client = oss.Client(config)
    return client


def handler(event, context):
    logger = logging.getLogger()
    evt = json.loads(event)
    info = evt["events"][0]["oss"]
    bucket, key = info["bucket"]["name"], info["object"]["key"]
    found = get_client(context).get_object(oss.GetObjectRequest(bucket=bucket, key=key))
    with open(LOCAL, "wb") as archive:
        archive.write(found.body.read())

    shutil.rmtree(WORK_DIR, ignore_errors=True)
    os.mkdir(WORK_DIR)
    os.chdir(WORK_DIR)
    with zipfile.ZipFile(LOCAL) as archive:
        archive.extractall()
        names = [name for name in archive.namelist() if not name.endswith("/")]

    del written[:]
    for name in names:
        target = os.environ["TARGET"] + name
        with open(name, "rb") as body:
            client.put_object(oss.PutObjectRequest(bucket=bucket, key=target, body=body.read()))
        written.append(target)
    logger.info("%s: %d files", key, len(written))
    return written
