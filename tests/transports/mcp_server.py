"""An MCP server over stdio in a few lines, which also does what a good one does not; it notes what its tools do."""

import json
import sys
import time
from typing import Any

LOG = sys.argv[-1]
COUNT = {"type": "object", "properties": {"text": {"type": "string"}}}
TOOLS = ["echo", "count", "ask", "crash", "hang", "refuse", "news", "hold"]


def note(text: str) -> None:
    with open(LOG, "a") as log:
        log.write(text + "\n")


def send(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def receive() -> Any:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def answer(message: Any) -> dict[str, Any]:
    method, params = message["method"], message.get("params") or {}
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}, "logging": {}},
            "serverInfo": {"name": "desk", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [{"name": name, "inputSchema": COUNT} for name in TOOLS]}
    name, arguments = params["name"], params.get("arguments") or {}
    note(name)
    text = str(arguments.get("text", ""))
    if name == "count":
        for step in range(3):
            token = params["_meta"]["progressToken"]
            send(method="notifications/progress", params={"progressToken": token, "progress": step, "total": 3})
    elif name == "ask":
        content = {"role": "user", "content": {"type": "text", "text": text}}
        send(id=77, method="sampling/createMessage", params={"messages": [content], "maxTokens": 9})
        text = receive()["result"]["content"]["text"]
    elif name == "crash":
        sys.exit(3)
    elif name == "hang":
        time.sleep(0.2)
        return {}
    return {"content": [{"type": "text", "text": f"{name} {text}".strip()}]}


def main() -> None:
    note("started")
    while True:
        asked = receive()
        if "id" not in asked:
            continue
        named = (asked.get("params") or {}).get("name")
        if named == "refuse":
            note("refuse")
            send(id=asked["id"], error={"code": -32602, "message": "no such desk", "data": {"why": "closed"}})
            continue
        held = asked if named == "hold" else None
        if held is not None:  # until something else was asked and answered
            asked = receive()
        answered = answer(asked)
        if answered:
            send(id=asked["id"], result=answered)
        if named == "news":
            send(method="notifications/message", params={"level": "info", "data": "late news"})
        if held is not None:
            send(id=held["id"], result=answer(held))


if __name__ == "__main__":
    main()
