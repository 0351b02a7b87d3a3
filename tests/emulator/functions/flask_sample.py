# mypy: ignore-errors
# The line above is the project's; the rest is a user's own style.
# As in the platform's documentation of custom runtimes: an event function as a Flask app. Its port
# is the one of the documentation, or the first argument; "own" is the one that it is told.
import os
import sys
import time

from flask import Flask, request

REQUEST_ID_HEADER = "x-fc-request-id"

app = Flask(__name__)


@app.route("/initialize", methods=["POST"])
def init():
    rid = request.headers.get(REQUEST_ID_HEADER)
    print("FC Initialize Start RequestId: " + rid, flush=True)
    print("FC Initialize End RequestId: " + rid, flush=True)
    return "Function is initialized, request_id: " + rid + "\n"


@app.route("/invoke", methods=["POST"])
def invoke():
    rid = request.headers.get(REQUEST_ID_HEADER)
    print("FC Invoke Start RequestId: " + rid, flush=True)
    data = request.stream.read().decode()
    print(data, flush=True)
    if data.startswith("sleep "):
        time.sleep(float(data[6:]))
    print("FC Invoke End RequestId: " + rid, flush=True)
    return "Hello, World!"


if __name__ == "__main__":
    port = sys.argv[1] if len(sys.argv) > 1 else "9000"
    if port == "own":
        port = os.environ["FC_CUSTOM_LISTEN_PORT"]
    app.run(host="0.0.0.0", port=int(port))
