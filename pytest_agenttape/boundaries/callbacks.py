"""`AgentTape`: a listener for frameworks with hooks. It only records what it sees; calls are answered elsewhere.

It works with each framework by having the right methods, so no framework is imported: it is LangChain's callback
handler (seen with langchain-core 1.8), LlamaIndex's callback handler and CrewAI's event listener.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from pytest_agenttape import ownership
from pytest_agenttape.boundaries.readable import is_message, readable, word_of
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.model import JSON
from pytest_agenttape.ownership.calls import Observed

_CREW_EVENTS = {
    "LLMCallStartedEvent": ("llm", "start"),
    "LLMCallCompletedEvent": ("llm", "end"),
    "LLMCallFailedEvent": ("llm", "error"),
    "ToolUsageStartedEvent": ("tool", "start"),
    "ToolUsageFinishedEvent": ("tool", "end"),
    "ToolUsageErrorEvent": ("tool", "error"),
    "KnowledgeRetrievalStartedEvent": ("retrieval", "start"),
    "KnowledgeRetrievalCompletedEvent": ("retrieval", "end"),
    "KnowledgeQueryFailedEvent": ("retrieval", "error"),
}
_CREW_MODULES = ("crewai.events", "crewai.utilities.events")
_LLAMA_KINDS = {"llm": "llm", "function_call": "tool", "retrieve": "retrieval"}


class AgentTape:
    """Records the model, tool and retrieval events of a framework into the active session.

    Pass it to LangChain as ``ChatOpenAI(callbacks=[AgentTape()])`` or in ``config={"callbacks": [...]}``, to
    LlamaIndex's ``CallbackManager``, or call its `setup_listeners` with CrewAI's event bus. A listener cannot answer
    calls: in replay it records nothing, and its recordings do not have to be played. What a transport or a decorator
    records is not recorded again.

    Args:
        tag: A word to keep with each recording.
    """

    # Read by LangChain's managers. Inline, so that an event runs in the context of its call.
    raise_error = False
    run_inline = True
    ignore_llm = ignore_chat_model = ignore_agent = ignore_retriever = False
    ignore_chain = ignore_retry = ignore_custom_event = True
    # Read by LlamaIndex's manager.
    event_starts_to_ignore: Sequence[object] = ()
    event_ends_to_ignore: Sequence[object] = ()

    def __init__(self, *, tag: str | None = None) -> None:
        if not isinstance(tag, str | None):
            raise ConfigError(f"the tag of AgentTape must be a text, not {tag!r}")
        self.tag = tag
        self._open: dict[Hashable, list[Observed]] = {}

    @property  # type: ignore[misc]  # the type checker's `__class__` is no property
    def __class__(self) -> type:
        """What pydantic takes for the class, where it checks LangChain's `callbacks`."""
        langchain = sys.modules.get("langchain_core.callbacks.base")
        handler: type = getattr(langchain, "BaseCallbackHandler", AgentTape)
        return handler

    # -- LangChain; every object here is the framework's, hence Any

    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: Any = None, **told: Any) -> None:
        """A completion model is asked."""
        listed = list(prompts) if isinstance(prompts, list | tuple) else [prompts]
        self._start(run_id, "llm", _name(serialized, told, "llm"), {"prompts": listed}, model=_model(told))

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: Any = None, **told: Any) -> None:
        """A chat model is asked."""
        asked = messages[0] if isinstance(messages, list) and len(messages) == 1 else messages
        self._start(run_id, "llm", _name(serialized, told, "llm"), {"messages": asked}, model=_model(told))

    def on_llm_end(self, response: Any, *, run_id: Any = None, **_told: Any) -> None:
        """A model has answered."""
        self._end(run_id, _answer(response), usage=_usage(response))

    def on_tool_start(self, serialized: Any, input_str: Any, *, run_id: Any = None, **told: Any) -> None:
        """A tool is called."""
        inputs = told.get("inputs")
        arguments = dict(inputs) if isinstance(inputs, Mapping) else {"input": input_str}
        self._start(run_id, "tool", _name(serialized, told, "tool"), arguments)

    def on_tool_end(self, output: Any, *, run_id: Any = None, **_told: Any) -> None:
        """A tool has returned."""
        self._end(run_id, getattr(output, "content", output) if is_message(output) else output)

    def on_retriever_start(self, serialized: Any, query: Any, *, run_id: Any = None, **told: Any) -> None:
        """A retriever is asked."""
        self._start(run_id, "retrieval", _name(serialized, told, "retrieval"), {"query": query})

    def on_retriever_end(self, documents: Any, *, run_id: Any = None, **_told: Any) -> None:
        """A retriever has found documents."""
        self._end(run_id, documents)

    def on_llm_error(self, error: BaseException, *, run_id: Any = None, **_told: Any) -> None:
        """A model, tool or retriever has failed."""
        self._fail(run_id, error)

    on_tool_error = on_retriever_error = on_llm_error

    def _pass(self, *_args: Any, **_told: Any) -> None:
        """Ignore an event that is not a call of a model, a tool or a retriever."""

    on_llm_new_token = on_stream_event = on_text = on_retry = on_custom_event = _pass
    on_agent_action = on_agent_finish = on_chain_start = on_chain_end = on_chain_error = _pass

    # -- LlamaIndex

    def on_event_start(
        self,
        event_type: Any,
        payload: Any = None,
        event_id: str = "",
        parent_id: str = "",  # noqa: ARG002  # the framework's signature
        **_told: Any,
    ) -> str:
        """An event starts; return its id."""
        facts = _by_word(payload)
        kind = _LLAMA_KINDS.get(word_of(event_type))
        if kind == "llm":
            asked = (
                {"messages": facts["messages"]} if "messages" in facts else {"prompts": [facts.get("formatted_prompt")]}
            )
            self._start(event_id, kind, "llm", asked, model=word_of(_by_word(facts.get("serialized")).get("model")))
        elif kind == "tool":
            name = str(getattr(facts.get("tool"), "name", None) or "tool")
            self._start(event_id, kind, name, _arguments(facts.get("function_call")))
        elif kind == "retrieval":
            self._start(event_id, kind, "retrieval", {"query": facts.get("query_str")})
        return event_id

    def on_event_end(self, event_type: Any, payload: Any = None, event_id: str = "", **_told: Any) -> None:  # noqa: ARG002  # as above
        """An event ends."""
        facts = _by_word(payload)
        if isinstance(facts.get("exception"), BaseException):
            self._fail(event_id, facts["exception"])
            return
        found = next(
            (facts[each] for each in ("response", "completion", "function_call_response", "nodes") if each in facts),
            None,
        )
        is_answer = "response" in facts or "completion" in facts
        self._end(event_id, _answer(found) if is_answer else found, usage=_usage(found))

    start_trace = end_trace = _pass

    # -- CrewAI

    def setup_listeners(self, crewai_event_bus: Any) -> None:
        """Listen to CrewAI's event bus."""
        for module in _CREW_MODULES:
            try:
                events = importlib.import_module(module)
            except ImportError:
                continue
            for name in _CREW_EVENTS:
                if (event := getattr(events, name, None)) is not None:
                    crewai_event_bus.on(event)(self.on_crew_event)
            return

    def on_crew_event(self, source: Any, event: Any, *_more: Any) -> None:  # noqa: ARG002  # the framework's signature
        """An event of CrewAI, recognised by the name of its class."""
        kind, moment = _CREW_EVENTS.get(type(event).__name__, ("", ""))
        name, arguments = _crew_call(kind, event)
        key = (kind, name, _key(getattr(event, "call_id", None) or arguments))
        if moment == "start":
            # The bus runs listeners in its own threads, so their context says nothing about the call.
            self._start(key, kind, name, arguments, model=word_of(getattr(event, "model", None)), is_detached=True)
        elif moment == "end":
            found = next(filter(None, (getattr(event, each, None) for each in ("response", "output"))), None)
            found = getattr(event, "retrieved_knowledge", None) if kind == "retrieval" else found
            self._end(key, _answer(found) if kind == "llm" else found)
        elif moment == "error":
            error = getattr(event, "error", None)
            self._fail(key, error if isinstance(error, BaseException) else RuntimeError(str(error)))

    # -- below: how

    def _start(
        self,
        key: Hashable,
        kind: str,
        boundary: str,
        arguments: Mapping[str, Any],
        *,
        model: str = "",
        is_detached: bool = False,
    ) -> None:
        found = ownership.peek()  # `peek` does not raise: a listener must not disturb
        observer = found.owner.observer if found is not None else None
        if found is None or observer is None:
            return
        request = {"args": {name: readable(each) for name, each in arguments.items()}}
        observed = observer.begin(kind, boundary, request, parent=found.running, is_detached=is_detached)
        if model:
            observed.metadata["model"] = model
        self._open.setdefault(key, []).append(observed)

    def _end(self, key: Hashable, result: object, *, usage: dict[str, JSON] | None = None) -> None:
        observed = self._taken(key)
        if observed is not None:
            observed.observer.end(observed, response=readable(result), usage=usage, tags=self._tags)

    def _fail(self, key: Hashable, error: BaseException) -> None:
        observed = self._taken(key)
        if observed is not None:
            stored = {"type": type(error).__name__, "module": type(error).__module__, "message": str(error)}
            observed.observer.end(observed, error=stored, tags=self._tags)

    def _taken(self, key: Hashable) -> Observed | None:
        waiting = self._open.get(key)
        if not waiting:
            return None
        observed = waiting.pop(0)
        if not waiting:
            self._open.pop(key, None)
        return observed

    @property
    def _tags(self) -> tuple[str, ...]:
        return (self.tag,) if self.tag else ()


def _answer(response: Any) -> Any:
    """Return the message in a framework's result of a model call."""
    generations = getattr(response, "generations", None)
    if generations:
        answers = [_generated(each) for batch in generations for each in batch]
        return answers[0] if len(answers) == 1 else answers
    if is_message(getattr(response, "message", None)):
        return response.message
    said = response if isinstance(response, str) else getattr(response, "text", None)
    return {"role": "assistant", "content": said} if isinstance(said, str) else response


def _generated(generation: Any) -> Any:
    message = getattr(generation, "message", None)
    if is_message(message):
        return message
    return {"role": "assistant", "content": getattr(generation, "text", None)}


def _usage(response: Any) -> dict[str, JSON] | None:
    """Return the tokens that a LangChain result reports, for each message or as a whole."""
    messages = (
        getattr(each, "message", None) for batch in getattr(response, "generations", None) or () for each in batch
    )
    counted = [found for each in messages if isinstance(found := getattr(each, "usage_metadata", None), Mapping)]
    if counted:
        return _summed(counted, "input_tokens", "output_tokens")
    whole = getattr(response, "llm_output", None)
    found = whole.get("token_usage") if isinstance(whole, Mapping) else None
    return _summed([found], "prompt_tokens", "completion_tokens") if isinstance(found, Mapping) else None


def _summed(counted: Iterable[Mapping[str, Any]], consumed: str, produced: str) -> dict[str, JSON] | None:
    pairs: list[tuple[Any, Any]] = [(each.get(consumed), each.get(produced)) for each in counted]
    if not all(isinstance(number, int) for pair in pairs for number in pair):
        return None
    given, taken = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    return {"input_tokens": given, "output_tokens": taken, "total_tokens": given + taken}


def _name(serialized: Any, told: Mapping[str, Any], otherwise: str) -> str:
    name = told.get("name") or (serialized.get("name") if isinstance(serialized, Mapping) else None)
    path = serialized.get("id") if isinstance(serialized, Mapping) else None
    return str(name or (path[-1] if isinstance(path, list) and path else None) or otherwise)


def _model(told: Mapping[str, Any]) -> str:
    parameters = told.get("invocation_params")
    named = parameters if isinstance(parameters, Mapping) else {}
    return word_of(named.get("model") or named.get("model_name"))


def _by_word(payload: Any) -> dict[str, Any]:
    return {word_of(name): value for name, value in payload.items()} if isinstance(payload, Mapping) else {}


def _arguments(given: Any) -> dict[str, Any]:
    return dict(given) if isinstance(given, Mapping) else {"input": given}


def _crew_call(kind: str, event: Any) -> tuple[str, dict[str, Any]]:
    if kind == "tool":
        return str(getattr(event, "tool_name", None) or "tool"), _arguments(getattr(event, "tool_args", None))
    if kind == "retrieval":
        return "retrieval", {"query": getattr(event, "query", None)}
    return "llm", {"messages": getattr(event, "messages", None)}


def _key(value: object) -> str:
    return value if isinstance(value, str) else repr(readable(value))
