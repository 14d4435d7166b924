#!/usr/bin/env python3
"""A stand-in for the program of Claude Code: it speaks its protocol over stdio, and does what a prompt says."""

import json
import os
import sys
import time
import uuid
from collections import deque
from typing import Any

SESSION = str(uuid.uuid4())
USAGE = {"input_tokens": 7, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 0, "output_tokens": 5}
waiting: deque[Any] = deque()  # what was said while something else was waited for


def note(text: str) -> None:
    with open(os.environ["CLAUDE_LOG"], "a") as log:
        log.write(text + "\n")


def option(name: str) -> str | None:
    words = sys.argv
    return words[words.index(name) + 1] if name in words else None


def send(message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def receive(wanted: str) -> Any:
    """Return the next message of a type; answer requests meanwhile, and keep prompts."""
    while True:
        for message in waiting:
            if message["type"] == wanted:
                waiting.remove(message)
                return message
        line = sys.stdin.readline()
        if not line:
            sys.exit(0)
        message = json.loads(line)
        if message["type"] == "control_request" and wanted != "interrupt":
            obey(message)
        elif message["type"] == "control_request" and message["request"]["subtype"] == "interrupt":
            obey(message)
            return message
        else:
            waiting.append(message)


class State:
    model: Any = option("--model") or "claude-default"
    hooks: Any = None
    servers: Any = None


def obey(message: Any) -> None:
    request, response = message["request"], {}
    note(request["subtype"])
    if request["subtype"] == "initialize":
        State.hooks = request.get("hooks") or {}
        response = {"commands": [{"name": "help"}], "output_style": "default", "hook_on_failure_supported": True}
    elif request["subtype"] == "set_model":
        State.model = request["model"]
    elif request["subtype"] == "get_context_usage":
        response = {"totalTokens": 42, "categories": []}
    elif request["subtype"] == "mcp_toggle":
        error = f"no server {request['serverName']}"
        answer = {"subtype": "error", "request_id": message["request_id"], "error": error}
        send({"type": "control_response", "response": answer})
        return
    answer = {"subtype": "success", "request_id": message["request_id"], "response": response}
    send({"type": "control_response", "response": answer})
    if request["subtype"] == "initialize":
        introduce_servers()


def introduce_servers() -> None:
    for name in State.servers:
        about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "claude", "version": "2"}}
        ask_server(name, {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": about})
        ask_server(name, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        ask_server(name, {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})


def ask_server(name: str, message: Any) -> Any:
    answer = ask(subtype="mcp_message", server_name=name, message=message)
    return answer["response"]["mcp_response"]


def ask(**request: Any) -> Any:
    number = str(uuid.uuid4())
    send({"type": "control_request", "request_id": number, "request": request})
    while True:
        answer = receive("control_response")["response"]
        if answer["request_id"] == number:
            return answer


def say(*content: Any, role: str = "assistant") -> None:
    message = {"role": role, "content": [*content]}
    if role == "assistant":
        message |= {"id": f"msg_{uuid.uuid4().hex}", "type": "message", "model": State.model, "usage": USAGE}
    kept = {"parent_tool_use_id": None, "session_id": SESSION, "uuid": str(uuid.uuid4())}
    send({"type": role, "message": message, **kept})


def text(said: str) -> Any:
    return {"type": "text", "text": said}


def end(result: str | None = None, **more: Any) -> None:
    ended = {"subtype": "success", "is_error": False, "duration_ms": 12, "duration_api_ms": 9, "num_turns": 1}
    said = {} if result is None else {"result": result}
    costs = {"total_cost_usd": 0.01, "usage": USAGE, "session_id": SESSION, "uuid": str(uuid.uuid4())}
    send({"type": "result", **ended, **said, **costs, **more})


def use_tool(name: str, given: Any) -> None:
    number = f"toolu_{uuid.uuid4().hex[:8]}"
    say({"type": "tool_use", "id": number, "name": name, "input": given})
    for matcher in State.hooks.get("PreToolUse", []):
        for callback in matcher["hookCallbackIds"]:
            about = {"hook_event_name": "PreToolUse", "tool_name": name, "tool_input": given}
            ask(subtype="hook_callback", callback_id=callback, input=about, tool_use_id=number)
    done = "done"
    if option("--permission-prompt-tool") == "stdio":
        allowed = ask(subtype="can_use_tool", tool_name=name, input=given, permission_suggestions=[])
        if allowed["response"]["behavior"] != "allow":
            done = allowed["response"]["message"]
    if name.startswith("mcp__"):
        _, server, tool = name.split("__")
        params = {"name": tool, "arguments": given}
        done = ask_server(server, {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params})["result"]
    say({"type": "tool_result", "tool_use_id": number, "content": done}, role="user")


def crash(_rest: str) -> None:
    sys.exit(3)


def complain(rest: str) -> None:
    sys.stderr.write(rest + "\n")
    sys.stderr.flush()


def limit(_rest: str) -> None:
    end(subtype="error_max_turns", is_error=True, errors=["too many turns"])
    sys.exit(1)


def overload(_rest: str) -> bool:
    end("API Error: overloaded", is_error=True, api_error_status=529)
    return True


def long(_rest: str) -> bool:
    say(text("a long"))
    receive("interrupt")
    end(subtype="error_during_execution", is_error=True)
    return True


def wait(_rest: str) -> None:
    say(text("a moment"))
    time.sleep(0.5)


def bash(rest: str) -> None:
    use_tool("Bash", {"command": rest})


def add(rest: str) -> None:
    use_tool("mcp__sums__add", {"a": 2, "b": int(rest)})


def stream(rest: str) -> None:
    for piece in (rest[:30], rest[30:]):
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        send({"type": "stream_event", "event": delta, "session_id": SESSION, "uuid": str(uuid.uuid4())})


# What a prompt begins with, and what is done then; if that returns true, it has ended the answer.
DEEDS = {each.__name__: each for each in (crash, complain, limit, overload, long, wait, bash, add, stream)}


def answer(prompt: str) -> None:
    about = {"model": State.model, "cwd": os.getcwd(), "tools": ["Bash"], "claude_code_version": "2.1.300"}
    send({"type": "system", "subtype": "init", "session_id": SESSION, "uuid": str(uuid.uuid4()), **about})
    what, _, rest = prompt.partition(" ")
    if what in DEEDS and DEEDS[what](rest):
        return
    say(text(f"{State.model} heard {prompt}"))
    end(f"{State.model} heard {prompt}")


def main() -> None:
    note("started")
    servers = json.loads(option("--mcp-config") or "{}").get("mcpServers", {})
    State.servers = {name: each for name, each in servers.items() if each.get("type") == "sdk"}
    while True:
        prompt = receive("user")["message"]["content"]
        note(f"prompt {prompt}")
        answer(prompt)


if __name__ == "__main__":
    main()
