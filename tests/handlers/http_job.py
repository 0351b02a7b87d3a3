# mypy: ignore-errors
# The line above is the project's; the rest is a user's own style.
# Calls another service over HTTP, in blocking style.
import json
import urllib.request


def handler(event, context):
    job = json.loads(event)
    request = urllib.request.Request(
        job["url"],
        data=json.dumps({"order": job["order"]}).encode("utf-8"),
        headers={"Content-Type": "application/json", "X-Request-Id": context.request_id},
    )
    with urllib.request.urlopen(request, timeout=context.function.timeout) as response:
        answer = json.loads(response.read())
    context.getLogger().info("order %s is %s", job["order"], answer["state"])
    return {"request": context.request_id, "order": job["order"], "state": answer["state"]}
