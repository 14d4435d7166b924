"""The stand-in provider: one loopback server in a thread, scripted and counted."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from tests.standin import plain
from tests.standin.conversing import (
    DIALECTS,
    HOLDS_NO_CONVERSATION,
    payload_for,
    problem_with,
    raw_payload,
    retry_headers,
    to_call,
)
from tests.standin.delivery import Payload, deliver
from tests.standin.dialect import Dialect, compact
from tests.standin.ids import Ids
from tests.standin.script import JSON, Answer, Delivery, Failure, Headers, Raw, Reply

_HOST = "127.0.0.1"
_LARGEST_BODY = 256 * 1024 * 1024
_T = TypeVar("_T")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that reached the server; header names in lower case, in wire order."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first value of the header *name* (lower-case), or None."""
        return next((value for key, value in self.headers if key == name), None)

    def json(self) -> JSON:
        """Return the decoded body."""
        return json.loads(self.body)


class StandInProvider:
    """A provider of LLM APIs on the loopback interface, started when its address is first asked for."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[RecordedRequest] = []
        self.delivery = Delivery()
        self._port = port
        self._running: _Running | None = None
        self._stopped = False
        self._refusing: socket.socket | None = None
        self._script: deque[Reply] = deque()
        self._script_by_path: dict[str, deque[Reply]] = {}
        self._history: dict[str, list[JSON]] = {}
        self._asked: Counter[bytes] = Counter()

    def start(self) -> Self:
        """Start the server if it does not run; after a stop it comes back at the same address."""
        if self._running is None:
            self._running = _Running(self._application, self._port)
            self._port = self._running.port
            self._stopped = False
        return self

    def stop(self) -> None:
        """Stop the server; connections to its address are refused from now on."""
        if self._running is not None:
            self._running.stop()
        if self._refusing is not None:
            self._refusing.close()
        self._running = self._refusing = None
        self._stopped = True

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Return the address, also of a stopped server."""
        if not self._stopped:
            self.start()
        return f"http://{_HOST}:{self._port}"

    @property
    def openai_url(self) -> str:
        """Return the base URL for OpenAI clients."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """Return the base URL for Anthropic clients."""
        return self.url

    @property
    def gemini_url(self) -> str:
        """Return the base URL for google-genai clients."""
        return self.url

    @property
    def refused_url(self) -> str:
        """Return an address at which every connection is refused."""
        if self._refusing is None:
            self._refusing = socket.socket()
            self._refusing.bind((_HOST, 0))  # held, so nobody else gets the port; not listening, so it refuses
        return f"http://{_HOST}:{self._refusing.getsockname()[1]}"

    @property
    def hits(self) -> int:
        """Return how many requests arrived since the last reset."""
        return len(self.requests)

    def hits_to(self, path: str) -> int:
        """Return how many requests arrived for exactly this path."""
        return sum(request.path == path for request in self.requests)

    @property
    def pending(self) -> int:
        """Return how many scripted replies nobody has asked for yet."""
        return len(self._script) + sum(map(len, self._script_by_path.values()))

    def script(self, *replies: Reply, to: str | None = None) -> None:
        """Queue replies, each given once: for the provider APIs, or for any request to the path *to*.

        Embeddings take errors and raw replies from the common queue, but no answers. Past the end of the queue the
        rules answer.
        """
        queue = self._script if to is None else self._script_by_path.setdefault(to, deque())
        queue.extend(replies)

    def reply(self, reply: Reply, *, to: str | None = None) -> None:
        """Queue one reply; see `script`."""
        self.script(reply, to=to)

    def reset(self) -> None:
        """Forget the script, the requests and the conversations."""
        self.requests.clear()
        self.delivery = Delivery()
        self._script.clear()
        self._script_by_path.clear()
        self._history.clear()
        self._asked.clear()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._record], client_max_size=_LARGEST_BODY)
        for dialect in DIALECTS:
            application.router.add_post(dialect.route, self._converse_in(dialect))
        plain.add_routes(application.router)
        return application

    @web.middleware
    async def _record(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Note the request, and give the reply scripted for its path if there is one."""
        headers = tuple((name.lower(), value) for name, value in request.headers.items())
        body = await request.read()
        self.requests.append(RecordedRequest(request.method, request.path, request.query_string, headers, body))
        queue = self._script_by_path.get(request.path)
        if (
            queue and "prefix" not in request.match_info
        ):  # only the routes of dialects have one, and they ask themselves
            reply = queue.popleft()
            return await deliver(request, _plain_payload(reply), reply.delivery)
        return await handler(request)

    def _converse_in(self, dialect: Dialect) -> _Handler:
        async def converse(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            call = to_call(request, body, self._ids(request.path, body), self._history)
            reply = self._next_reply(request.path, dialect)
            content = reply.content if reply else problem_with(request, dialect, call)
            delivery = reply.delivery if reply else self.delivery
            return await deliver(request, payload_for(dialect, call, content), delivery)

        return converse

    def _ids(self, path: str, body: bytes) -> Ids:
        request = path.encode() + body
        self._asked[request] += 1
        return Ids(request, self._asked[request])

    def _next_reply(self, path: str, dialect: Dialect) -> Reply | None:
        queue = self._script_by_path.get(path) or self._script
        unfit = dialect in HOLDS_NO_CONVERSATION and queue and isinstance(queue[0].content, Answer)
        return queue.popleft() if queue and not unfit else None


def _plain_payload(reply: Reply) -> Payload:
    """Return a scripted reply as a path that is no provider's answers it."""
    match reply.content:
        case Raw() as content:
            return raw_payload(content)
        case Failure() as failure:
            told = compact({"error": failure.message or f"status {failure.status}"})
            return Payload((told,), "application/json", failure.status, retry_headers(failure))
        case Answer(text=words):
            return Payload(((words or "").encode(),), "text/plain; charset=utf-8")


class _Running:
    """A server that runs in a thread of its own until it is stopped."""

    def __init__(self, application: Callable[[], web.Application], port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in provider", daemon=True)
        self._thread.start()
        self._runner, self.port = self._wait_for(_serve(application, port))

    def stop(self) -> None:
        """Close the socket and end the thread."""
        self._wait_for(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait_for(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)


async def _serve(application: Callable[[], web.Application], port: int) -> tuple[web.AppRunner, int]:
    runner = web.AppRunner(application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, _HOST, port)
    await site.start()
    return runner, runner.addresses[0][1]
