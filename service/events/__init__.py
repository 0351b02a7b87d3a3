"""What each trigger of Function Compute sends, as types for a handler's annotation."""

from .apigateway import ApiGatewayAnswer, ApiGatewayEvent
from .cdn import CdnEvent, CdnRecord
from .cloudevents import CloudEvent, CloudEvents, EventBatch
from .dts import DtsEvent, DtsEvents, DtsRecord
from .eventbridge import EventBridgeEvent, EventBridgeOssEvent
from .http import HttpAnswer, HttpEvent
from .json_schema import schema
from .messaging import (
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
from .mns import MnsQueueEvent, MnsQueueEvents, MnsStreamEvent, MnsTopicEvent
from .oss import OssEvent, OssRecord
from .sls import SlsEvent
from .tablestore import TablestoreEvent, TablestoreRecord
from .timer import TimerEvent

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
    "schema",
]
