"""The calls that are measured, each as a function of its number; nothing here knows a recorder."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, TypeAlias

from tests.benchmarks import provider

Ask: TypeAlias = Callable[[int], object]
KINDS = ("httpx2 POST", "OpenAI SDK call", "requests GET", "@tool call")


def httpx2_post(url: str, *, is_stubbed: bool) -> Ask:
    import httpx2

    client = httpx2.Client(transport=stub_transport()) if is_stubbed else httpx2.Client()
    return lambda number: client.post(f"{url}/search", json=provider.search_body(number)).raise_for_status().json()


def openai_call(url: str, *, is_stubbed: bool) -> Ask:
    create: Any = openai_client(url, is_stubbed=is_stubbed).chat.completions.create
    return lambda number: create(model=provider.MODEL, messages=provider.messages(number), tools=provider.TOOLS)


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


def get_weather(number: int, unit: str = "celsius") -> dict[str, Any]:
    """The body of the measured tool."""
    return {"station": number, "unit": unit, "temperature": 14, "conditions": ["rain", "wind"]}


def stub_transport() -> Any:
    import httpx2

    def respond(request: Any) -> Any:
        content = provider.answer(request.method, request.url.path, request.content)
        return httpx2.Response(200, headers=provider.HEADERS, content=content)

    return httpx2.MockTransport(respond)


def _stub_adapter() -> Any:
    import requests.adapters
    from urllib3 import HTTPResponse

    class Stub(requests.adapters.HTTPAdapter):
        def send(self, request: Any, **_options: Any) -> Any:  # type: ignore[override]  # every option is left aside
            content = provider.answer(request.method, request.path_url, request.body or b"")
            raw = HTTPResponse(io.BytesIO(content), dict(provider.HEADERS), 200, reason="OK", preload_content=False)
            return self.build_response(request, raw)

    return Stub()
