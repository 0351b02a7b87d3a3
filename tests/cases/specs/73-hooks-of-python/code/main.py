STATE = []


def my_initializer(context):
    STATE.append("ran")


def initialize(context):
    STATE.append("not named, so not run")


def my_handler(event, context):
    return STATE
