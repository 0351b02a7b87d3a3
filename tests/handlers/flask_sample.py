# mypy: ignore-errors
# The line above is the project's; the rest is a user's own style.
# As in the platform's documentation of custom runtimes: an event function as a Flask app.
import os

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
    data = request.stream.read()
    print(data.decode(), flush=True)
    print("FC Invoke End RequestId: " + rid, flush=True)
    return "Hello, World!"


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ.get("FC_SERVER_PORT", "9000")))
