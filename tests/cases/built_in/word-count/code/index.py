# -*- coding: utf-8 -*-
import json
import os
import shutil
import subprocess
import time

WORK_DIR = '/tmp/words'
seen = []
last_name = ''


def get_name_ext(filename):
    (file_dir, temp) = os.path.split(filename)
    return os.path.splitext(temp)


def handler(event, context):
    global last_name
    begin = time.time()
    evt = json.loads(event)
    shortname, extension = get_name_ext(evt['name'])
    last_name = shortname
    if os.path.exists(WORK_DIR):
        shutil.rmtree(WORK_DIR)
    os.mkdir(WORK_DIR)
    os.chdir(WORK_DIR)
    path = '/tmp/' + shortname + extension
    with open(path, 'w') as out:
        out.write(evt['text'])
    result = subprocess.run(['wc', '-w', path], stdout=subprocess.PIPE, check=True)
    seen.append(shortname)
    os.environ['LAST_NAME'] = shortname
    print('took %.3f s' % (time.time() - begin))
    return {'name': last_name, 'words': int(result.stdout.split()[0])}
