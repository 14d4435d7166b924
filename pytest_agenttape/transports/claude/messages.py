"""What claude-agent-sdk and the program of Claude Code say to each other: how it is stored, what of it is compared."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.mcp import CALL_TOOL
from pytest_agenttape.providers.tolerant import at, mappings
from pytest_agenttape.transports.mcp.messages import Message, program_of

FAMILY = "claude_code"
CONNECT = f"{FAMILY}.connect"
INITIALIZE = "initialize"
# Requests of the agent that change an option for the prompts that follow.
SETTINGS = {"set_model": "model", "set_permission_mode": "mode"}

# The options that decide what the model is asked and may do. Others say where it works and how the SDK behaves.
_COMPARED = (
    *("model", "fallback_model", "betas", "effort", "thinking", "max_thinking_tokens", "output_format"),
    *("tools", "permission_mode", "permission_prompt_tool_name", "skills", "sandbox", "setting_sources"),
    *("max_turns", "max_budget_usd", "task_budget", "strict_mcp_config", "verbatim_prompts"),
    *("include_partial_messages", "include_hook_events", "forward_subagent_text"),
    *("continue_conversation", "resume", "fork_session", "resume_session_at", "resume_drops_turn"),
)
_RULES = ("allowed_tools", "disallowed_tools")
_OF_A_SERVER = ("type", "name", "url")  # not its environment, nor its headers
_FOLDERS_IN_RULE = re.compile(r"\((?:/|~|[A-Za-z]:[\\/])[^()]*[\\/](?=[^()]*\))")
_PATH = re.compile(r"(?:/|~|\.{1,2}[\\/]|[A-Za-z]:[\\/])\S*$")
_LIBRARYS_PARTS = ("type", "message", "uuid", "client_composed")
_NOT_GIVEN = {"session_id": ("", "default"), "parent_tool_use_id": (None,)}


def compared_options(options: Any) -> dict[str, JSON]:
    """Return what of the SDK's *options* means something to the model: no path of this machine, no environment."""
    compared = {name: _plain(getattr(options, name, None)) for name in _COMPARED}
    for name in _RULES:
        compared[name] = [_FOLDERS_IN_RULE.sub("(", str(rule)) for rule in getattr(options, name, None) or ()]
    system = getattr(options, "system_prompt", None)
    compared["system_prompt"] = _without_folders(system) if isinstance(system, Mapping) else _plain(system)
    compared["mcp_servers"] = _servers(getattr(options, "mcp_servers", None))
    for name in ("settings", "plugins", "extra_args"):
        compared[name] = _without_folders(_decoded(getattr(options, name, None)))
    return {name: value for name, value in compared.items() if _is_given(name, value)}


def _is_given(name: str, value: JSON) -> bool:
    if value is None or value is False:
        return False
    return name == "tools" or value not in ("", [], {})  # no tools at all is not the default


def _servers(servers: Any) -> JSON:
    servers = _decoded(servers)
    if not isinstance(servers, Mapping):
        return _without_folders(servers)
    return {str(name): _server(each) for name, each in servers.get("mcpServers", servers).items()}


def _server(config: Any) -> JSON:
    if not isinstance(config, Mapping):
        return None
    kept = {name: _plain(config[name]) for name in _OF_A_SERVER if name in config}
    if isinstance(config.get("command"), str):
        kept["program"] = program_of(config["command"], [str(each) for each in config.get("args") or ()])
    return kept


def _decoded(value: Any) -> Any:
    """Return *value*, which an option takes as data or as JSON text, as data."""
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _without_folders(value: Any) -> JSON:
    """Return plain data whose paths are the names of files."""
    plain = _plain(value)
    if isinstance(plain, dict):
        return {name: _without_folders(each) for name, each in plain.items()}
    if isinstance(plain, list):
        return [_without_folders(each) for each in plain]
    is_path = isinstance(plain, str) and _PATH.match(plain)
    return re.split(r"[\\/]", plain.rstrip("\\/"))[-1] if is_path else plain


def _plain(value: Any) -> JSON:
    if isinstance(value, PurePath):
        return value.name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, str | int | float | bool) else type(value).__name__


def prompt_of(message: Message) -> dict[str, JSON]:
    """Return a message that the agent sends to the model, without what the SDK adds."""
    said = message.get("message")
    given = {
        name: each
        for name, each in message.items()
        if name not in _LIBRARYS_PARTS and each not in _NOT_GIVEN.get(name, ())
    }
    return {**(said if isinstance(said, dict) else {"content": said}), **given}


def asked_of(request: Message) -> dict[str, JSON]:
    """Return what is compared of a request of the agent to the program."""
    kept = {name: each for name, each in request.items() if name != "subtype" and each is not None}
    if request.get("subtype") != INITIALIZE:
        return kept
    hooks = kept.get("hooks")
    asked: dict[str, JSON] = {"agents": kept["agents"]} if "agents" in kept else {}
    if isinstance(hooks, dict):
        asked["hooks"] = {event: [at(each, "matcher") for each in mappings(hooks[event])] for event in hooks}
    return asked


def subtype_of(message: Mapping[str, JSON]) -> str:
    """Return what a request, of either side, asks for."""
    return str(at(message, "request", "subtype"))


def number_of(message: Mapping[str, JSON]) -> str:
    """Return the number of a request, or of the request that is answered or withdrawn."""
    answered = at(message, "response", "request_id")
    return str(message.get("request_id") if answered is None else answered)


def renumbered(message: Message, number: str) -> Message:
    """Return *message* with another number."""
    if "request_id" in message:
        return {**message, "request_id": number}
    return {**message, "response": {**message["response"], "request_id": number}}


def lane_of(message: Mapping[str, JSON]) -> str:
    """Return which message of the agent's is meant by the mark that it was sent."""
    return subtype_of(message) if message.get("type") == "control_request" else "user"


def mark_of(message: Message) -> Message:
    """Return the mark that the agent sent *message*, which has a recording of its own."""
    if message.get("type") != "control_request":
        return {"type": "user"}
    return {"type": "control_request", "request": {"subtype": subtype_of(message)}}


def is_mark(entry: Mapping[str, JSON]) -> bool:
    """Return whether an entry only says that the agent sent something, not what."""
    return "sent" in entry and at(entry, "sent", "type") != "control_response"


def tool_called(question: Mapping[str, JSON]) -> str | None:
    """Return the tool of the agent's own process, ``SERVER.TOOL``, that the program asks to call."""
    if at(question, "request", "message", "method") != CALL_TOOL:
        return None
    return f"{at(question, 'request', 'server_name')}.{at(question, 'request', 'message', 'params', 'name')}"


def compared_answer(question: Mapping[str, JSON], message: JSON) -> JSON:
    """Return what is compared of the agent's answer to a *question* of the program."""
    response = at(message, "response", "response")
    answer = (
        response if at(message, "response", "subtype") == "success" else {"error": at(message, "response", "error")}
    )
    if subtype_of(question) != "mcp_message":
        return answer
    method = at(question, "request", "message", "method")
    if method == CALL_TOOL:
        return answer if response is None else at(response, "mcp_response")
    if method == "tools/list":  # the rest is the library's
        tools = mappings(at(response, "mcp_response", "result", "tools"))
        return [{name: each.get(name) for name in ("name", "description", "inputSchema")} for each in tools]
    return None


def outcome_of(answer: Message) -> tuple[JSON, dict[str, JSON] | None]:
    """Return what the program answers to a request, and the error if it refuses it."""
    response = answer.get("response")
    if at(response, "subtype") != "error":
        return at(response, "response"), None
    return None, {"type": "ControlError", "module": "", "message": str(at(response, "error"))}


def answer_again(number: str, response: JSON, error: Mapping[str, JSON] | None) -> Message:
    """Return what was recorded of an answer as the answer to request *number*."""
    if error is not None:
        answer: Message = {"subtype": "error", "request_id": number, "error": error.get("message", "")}
    else:
        answer = {"subtype": "success", "request_id": number, "response": response}
    return {"type": "control_response", "response": answer}
