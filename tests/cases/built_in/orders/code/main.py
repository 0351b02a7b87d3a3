# -*- coding: utf-8 -*-
import json
import logging
import os
from decimal import Decimal

from prices import price_of

logger = logging.getLogger()
rate = None


def set_up(context):
    global rate
    rate = Decimal(os.environ['RATE'])
    logger.info('initialized')


def initializer(context):
    raise Exception('nobody has configured this one')


def book(event, context):
    evt = json.loads(event)
    if 'payload' in evt:
        evt = json.loads(evt['payload'])
    total = sum(price_of(each['sku']) * each['quantity'] for each in evt['orders'])
    return {'total': str(total * (1 + rate)), 'currency': os.environ['CURRENCY']}
