"""The calls that are measured, each as a function of its number; nothing here knows a recorder."""

from __future__ import annotations

import atexit
import io
from collections.abc import Callable
from typing import Any, TypeAlias

from tests.benchmarks import provider

Ask: TypeAlias = Callable[[int], object]
TOOL_KINDS = ("@tool call", "@tool call, 60 kB")
KINDS = (
    "httpx2 POST", "OpenAI SDK call", "OpenAI SDK stream", "requests GET", "aiohttp GET", "boto3 call", *TOOL_KINDS
)  # fmt: skip


def httpx2_post(url: str, *, is_stubbed: bool) -> Ask:
    import httpx2

    client = httpx2.Client(transport=stub_transport()) if is_stubbed else httpx2.Client()
    return lambda number: client.post(f"{url}/search", json=provider.search_body(number)).raise_for_status().json()


def openai_call(url: str, *, is_stubbed: bool) -> Ask:
    create: Any = openai_client(url, is_stubbed=is_stubbed).chat.completions.create
    return lambda number: create(model=provider.MODEL, messages=provider.messages(number), tools=provider.SHORT.tools)


def openai_stream(url: str, *, is_stubbed: bool) -> Ask:
    create: Any = openai_client(url, is_stubbed=is_stubbed).chat.completions.create
    return lambda number: list(create(model=provider.MODEL, messages=provider.messages(number), stream=True))


def openai_client(url: str, *, is_stubbed: bool) -> Any:
    import httpx2
    from openai import OpenAI

    stub = httpx2.Client(transport=stub_transport()) if is_stubbed else None
    return OpenAI(base_url=f"{url}/v1", api_key="benchmark-key", http_client=stub)


def requests_get(url: str, *, is_stubbed: bool) -> Ask:
    import requests

    session = requests.Session()
    if is_stubbed:
        session.mount("http://", _stub_adapter())
    return lambda number: session.get(f"{url}/weather/{number}", params={"units": "metric"}).json()


def aiohttp_get(url: str, *, is_stubbed: bool) -> Ask:
    import asyncio

    import aiohttp

    loop = asyncio.new_event_loop()

    async def opened() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=_stub_connector() if is_stubbed else None)

    session = loop.run_until_complete(opened())
    atexit.register(lambda: loop.run_until_complete(session.close()))

    async def get(number: int) -> object:
        async with session.get(f"{url}/weather/{number}", params={"units": "metric"}) as response:
            return await response.json()

    return lambda number: loop.run_until_complete(get(number))


def boto3_call(url: str, *, is_stubbed: bool) -> Ask:
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "bedrock-runtime",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id="benchmark",
        aws_secret_access_key="benchmark",  # nobody's
        config=Config(retries={"max_attempts": 0}),
    )
    if is_stubbed:
        client.meta.events.register("before-send.bedrock-runtime", _answer_of_aws)
    return lambda number: client.converse(modelId="model", messages=provider.converse_messages(number))


def get_weather(number: int, unit: str = "celsius") -> dict[str, Any]:
    """The body of the measured tool."""
    return {"station": number, "unit": unit, "temperature": 14, "conditions": ["rain", "wind"]}


def tool_call(kind: str, wrap: Callable[[Any], Any]) -> Ask:
    """Return the call of a tool that *wrap* makes of its body."""
    if kind == "@tool call":
        wrapped: Ask = wrap(get_weather)
        return wrapped
    summarised, text = wrap(summarise), "".join(f"Line {at} of a long report on weather.\n" for at in range(1_600))
    return lambda number: summarised(number, text)


def summarise(number: int, text: str) -> str:
    """The body of the tool with a long argument."""
    return f"{number}: {len(text)} characters"


def stub_transport() -> Any:
    import httpx2

    def respond(request: Any) -> Any:
        content = provider.answer(request.method, request.url.path, request.content)
        return httpx2.Response(200, headers=provider.headers(content), content=content)

    return httpx2.MockTransport(respond)


def _stub_connector() -> Any:
    import asyncio

    import aiohttp
    from aiohttp import client_proto, connector

    class Wire(asyncio.Transport):
        """Answers a GET when its head is written."""

        protocol: Any = None

        def write(self, data: Any) -> None:
            target = bytes(data).split(b" ", 2)[1].decode().partition("?")[0]
            content = provider.answer("GET", target, b"")
            head = "".join(f"{name}: {value}\r\n" for name, value in provider.headers(content))
            self.protocol.data_received(
                f"HTTP/1.1 200 OK\r\n{head}content-length: {len(content)}\r\n\r\n".encode() + content
            )

        def is_closing(self) -> bool:
            return False

        def close(self) -> None:
            """Nothing is open."""

    class Stub(aiohttp.BaseConnector):
        async def connect(self, req: Any, *_: Any, **__: Any) -> Any:
            wire, protocol = Wire(), client_proto.ResponseHandler(loop=self._loop)
            protocol.force_close()
            wire.protocol = protocol
            protocol.connection_made(wire)
            return connector.Connection(self, req.connection_key, protocol, self._loop)

    return Stub()


def _answer_of_aws(request: Any, **_: Any) -> Any:
    from botocore.awsrequest import AWSResponse

    content = provider.answer(request.method, "/model/model/converse", request.body)

    class Raw(io.BytesIO):
        def stream(self, **_: Any) -> Any:
            yield self.read()

    return AWSResponse(request.url, 200, dict(provider.headers(content)), Raw(content))


def _stub_adapter() -> Any:
    import requests.adapters
    from urllib3 import HTTPResponse

    class Stub(requests.adapters.HTTPAdapter):
        def send(self, request: Any, **_options: Any) -> Any:  # type: ignore[override]  # every option is left aside
            content = provider.answer(request.method, request.path_url, request.body or b"")
            raw = HTTPResponse(
                io.BytesIO(content), dict(provider.headers(content)), 200, reason="OK", preload_content=False
            )
            return self.build_response(request, raw)

    return Stub()
