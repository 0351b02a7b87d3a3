# -*- coding: utf-8 -*-
import json
import logging
import os
import threading

import oss2
import pymysql
from mns.account import Account
from mns.queue import *

logging.getLogger("oss2.api").setLevel(logging.ERROR)

account = Account("http://example.invalid", "id", "secret")
queue = account.get_queue("done")
conn = None
bucket = None


def initializer(context):
    global bucket
    creds = context.credentials
    auth = oss2.StsAuth(creds.access_key_id, creds.access_key_secret, creds.security_token)
    bucket = oss2.Bucket(auth, 'oss-cn-hangzhou-internal.aliyuncs.com', 'pictures')


def get_connection():
    global conn
    if conn is None:
        conn = pymysql.connect(host=os.environ['DB_HOST'], user='media')
    return conn


def report(message, to=[]):
    to.append(message)
    queue.send_message(Message(json.dumps(to)))


def handler(event, context):
    evt = json.loads(event)['events'][0]
    key = evt['oss']['object']['key']
    local = '/tmp/{}'.format(os.path.basename(key))
    bucket.get_object_to_file(key, local)
    with get_connection().cursor() as cursor:
        cursor.execute('INSERT INTO media VALUES (%s)', (key,))
    threading.Thread(target=report, args=(key,)).start()
    os.remove(local)
    return 'ok'
