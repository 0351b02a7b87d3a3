"""Flask: the platform's sample for event functions, without its access log."""

import logging
import sys
import time

import orjson
from flask import Flask, Response, request
from marks import ended, started

app = Flask(__name__)


def answer(value):
    request_id = value["requestId"]
    headers = {"x-fc-request-id": request_id}
    ended(request_id)
    return Response(orjson.dumps(value), headers=headers, content_type="application/json")


@app.route("/invoke", methods=["POST"])
def invoke():
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    event = orjson.loads(request.get_data())
    return answer({"count": len(event["items"]), "requestId": request_id})


@app.route("/sync", methods=["POST"])
def sync():
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    event = orjson.loads(request.get_data())
    time.sleep(0.05)
    return answer({"count": len(event["items"]), "requestId": request_id})


@app.route("/read", methods=["POST"])
def read():
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    return answer({"size": len(request.get_data()), "requestId": request_id})


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app.run(host="127.0.0.1", port=int(sys.argv[1]), threaded=True)
