"""What each trigger of Function Compute sends, as types for a handler's annotation."""

from service.events.apigateway import ApiGatewayAnswer, ApiGatewayEvent
from service.events.cdn import CdnEvent, CdnRecord
from service.events.cloudevents import CloudEvent, CloudEvents, EventBatch
from service.events.dts import DtsEvent, DtsEvents, DtsRecord
from service.events.eventbridge import EventBridgeEvent, EventBridgeOssEvent
from service.events.http import HttpAnswer, HttpEvent
from service.events.messaging import (
    KafkaEvent,
    KafkaEvents,
    MqttMessage,
    MqttMessages,
    RabbitMqEvent,
    RabbitMqEvents,
    RocketMqEvent,
    RocketMqEvents,
    RocketMqMessage,
    RocketMqMessages,
)
from service.events.mns import MnsQueueEvent, MnsQueueEvents, MnsStreamEvent, MnsTopicEvent
from service.events.oss import OssEvent, OssRecord
from service.events.sls import SlsEvent
from service.events.tablestore import TablestoreEvent, TablestoreRecord
from service.events.timer import TimerEvent

__all__ = [
    "ApiGatewayAnswer",
    "ApiGatewayEvent",
    "CdnEvent",
    "CdnRecord",
    "CloudEvent",
    "CloudEvents",
    "DtsEvent",
    "DtsEvents",
    "DtsRecord",
    "EventBatch",
    "EventBridgeEvent",
    "EventBridgeOssEvent",
    "HttpAnswer",
    "HttpEvent",
    "KafkaEvent",
    "KafkaEvents",
    "MnsQueueEvent",
    "MnsQueueEvents",
    "MnsStreamEvent",
    "MnsTopicEvent",
    "MqttMessage",
    "MqttMessages",
    "OssEvent",
    "OssRecord",
    "RabbitMqEvent",
    "RabbitMqEvents",
    "RocketMqEvent",
    "RocketMqEvents",
    "RocketMqMessage",
    "RocketMqMessages",
    "SlsEvent",
    "TablestoreEvent",
    "TablestoreRecord",
    "TimerEvent",
]
