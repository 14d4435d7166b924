"""What a provider's view is made of: the protocol's operations, how its bodies are read, and its words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

from pytest_agenttape.model import JSON


@dataclass(frozen=True, slots=True)
class Operation:
    """What an LLM request does, in the words of the OpenTelemetry GenAI conventions.

    Attributes:
        provider: Who is asked, such as ``openai`` or ``gcp.gemini``.
        operation: ``chat``, ``text_completion``, ``embeddings``, ``generate_content``, ``invoke_agent``; or ``rerank``,
            which the conventions do not name.
        boundary: The protocol that is spoken, such as ``openai.chat``; it decides how bodies are read.
        model: The model that is asked for.
    """

    provider: str
    operation: str
    boundary: str
    model: str | None = None

    @property
    def is_said(self) -> bool:
        """Whether another language model could answer: not for embeddings or ranks."""
        return self.operation not in ("embeddings", "rerank")


@dataclass(frozen=True, slots=True)
class RequestedTool:
    """One tool call that a model asked for; `arguments` stay text when they are not JSON."""

    id: str | None
    name: str
    arguments: JSON


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered; of an odd or truncated body, what could be read.

    In a realtime session, `usage` is that of all answers.

    Attributes:
        after: How many of the messages came before this answer; None for all.
        earlier: The answers before this one in the same session.
    """

    text: str = ""
    tool_calls: tuple[RequestedTool, ...] = ()
    usage: dict[str, int] | None = None
    model: str | None = None
    finish_reason: str | None = None
    error: str | None = None
    after: int | None = None
    earlier: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of a protocol that code outside of its view has to know.

    Attributes:
        last_events: Event names, types or data that end a stream.
        last_fields: Fields of the data that only the event has that ends a stream; a dot leads into a field.
        keep_alives: Event names that carry nothing.
        pieces: Keys of event fields that carry a piece of a text that is streamed.
        places: Keys that say to which of several texts a piece belongs.
        labels: Keys of texts that are repeated from event to event and are not pieces.
        made_up: Keys of ids, times and fingerprints that the provider generates for each exchange.
        counts: Keys of an answer below which its tokens are counted.
        users_own: Keys below which everything is the user's, whatever its keys are called.
        serving_headers: Response headers that say when and by whom it was served; a final ``-`` makes a prefix.
        sdk_headers: Request headers of the provider's client library; a final ``-`` makes a prefix.
        asking_headers: Request headers that change what is asked for; a final ``-`` makes a prefix.
        conversations: Keys of a request body under which the conversation is.
        system_prompts: Keys of a request body under which the system prompt is.
        roles: Who speaks in a message of this role or type: ``system``, ``user``, ``model`` or ``tool``.
        result_parts: Types or keys of the parts of a message that are a tool's result.
        texts: Keys under which a request or an answer has the texts that tokens are estimated from.
        error_fields: Where the objects of an answer have an error; a dot leads into a field or an item of a list.
        error_headers: Response headers that name an error.
        failures: The names of errors, in lower case, each with the HTTP status that it means.
        failed_reasons: Finish reasons that are errors, likewise.
        failure_sayings: Parts of messages about the key or the account, of errors that nothing else tells from those
            about the request; each with the HTTP status that it means.
        unfinished: Finish reasons that an answer has while more is to come.
    """

    last_events: tuple[str, ...] = ()
    last_fields: tuple[str, ...] = ()
    keep_alives: tuple[str, ...] = ()
    pieces: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    made_up: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    users_own: tuple[str, ...] = ()
    serving_headers: tuple[str, ...] = ()
    sdk_headers: tuple[str, ...] = ()
    asking_headers: tuple[str, ...] = ()
    conversations: tuple[str, ...] = ()
    system_prompts: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    result_parts: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    error_fields: tuple[str, ...] = ()
    error_headers: tuple[str, ...] = ()
    failures: Mapping[str, int] = field(default_factory=dict)
    failed_reasons: Mapping[str, int] = field(default_factory=dict)
    failure_sayings: Mapping[str, int] = field(default_factory=dict)
    unfinished: tuple[str, ...] = ()

    @classmethod
    def union(cls, all_words: Iterable[Words]) -> Words:
        """Return the words of all, each once, in the order of their first mention."""
        listed = list(all_words)
        return cls(**{each.name: _joined([getattr(words, each.name) for words in listed]) for each in fields(cls)})


def _joined(given: list[Any]) -> Any:  # tuples of names, or mappings of them
    named = {name: each[name] if isinstance(each, Mapping) else None for each in given for name in each}
    return named if isinstance(given[0], Mapping) else tuple(named)


ReadSession: TypeAlias = Callable[[list[Mapping[str, JSON]], JSON], tuple[dict[str, JSON], list[JSON]]]


Refusal: TypeAlias = tuple[JSON, dict[str, JSON]]  # the decoded body of an answer that is an error, and its headers


def plain_refusal(_status: int, said: str) -> Refusal:
    """Return what the protocols without a form of their own answer to a request that fails."""
    return {"message": said}, {}


def retried_at_once(status: int) -> dict[str, JSON]:
    """Return the headers with which the SDKs of OpenAI and Anthropic retry without a pause; a ``0`` they ignore."""
    return {"retry-after-ms": "1"} if status in (408, 409, 429) or status >= 500 else {}


def _never(_objects: list[Mapping[str, JSON]]) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class View:
    """One protocol: the URLs it lives under, how its bodies are read, and its words.

    Attributes:
        provider: The provider, unless the URL names another.
        operations: Each boundary with its operation.
        suffixes: Ends of the URL paths that can be this protocol.
        identify: Return the operation from the URL without its query, and the decoded body; None if it is another's.
            For a WebSocket, the whole URL and an empty body.
        read_messages: Normalise the messages of a request body.
        read_answer: Read the JSON objects of a response, one or a stream of them.
        words: What this protocol has beyond the words that all share (`registry.SHARED`).
        below: A regular expression for the ends of URL paths that contain a name or an id.
        is_at_root: Whether a server may speak it at its root, where only the body identifies it.
        is_finished: Return whether the JSON objects of a stream are complete, if no event marks the end.
        read_session: For a protocol over a WebSocket: turn the stored messages, and how the connection was closed, into
            the body of one request and the objects of its response, which the other functions read.
        refusal: Return the answer to a request that fails with an HTTP status, as the provider spells a message.
    """

    provider: str
    operations: Mapping[str, str]
    suffixes: tuple[str, ...]
    identify: Callable[[str, Mapping[str, JSON]], Operation | None]
    read_messages: Callable[[Mapping[str, JSON]], list[dict[str, JSON]]]
    read_answer: Callable[[list[Mapping[str, JSON]]], Answer]
    words: Words
    below: str | None = None
    is_at_root: bool = False
    is_finished: Callable[[list[Mapping[str, JSON]]], bool] = _never
    read_session: ReadSession | None = None
    refusal: Callable[[int, str], Refusal] = plain_refusal
