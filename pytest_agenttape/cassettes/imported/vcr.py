"""vcrpy, pytest-recording, and whatever else writes interactions of `request` and `response`."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.cassettes.imported.body import Body, header_list
from pytest_agenttape.cassettes.imported.exchange import exchange, request_of, response_of
from pytest_agenttape.cassettes.imported.tool import ReadAsset, Tool
from pytest_agenttape.model import JSON, require_mapping


def _is_vcr(root: Mapping[str, JSON]) -> bool:
    listed = root.get("interactions")
    return isinstance(listed, list) and bool(listed) and _is_vcr_interaction(listed[0])


def _is_vcr_interaction(raw: JSON) -> bool:
    if not isinstance(raw, dict) or "kind" in raw or "index" in raw:
        return False
    return isinstance(raw.get("request"), dict) and isinstance(raw.get("response"), dict)


def _is_single_exchange(root: Mapping[str, JSON]) -> bool:
    return "interactions" not in root and _is_vcr_interaction(root)


def _translated(raw: dict[str, JSON], _read_asset: ReadAsset) -> dict[str, JSON]:
    asked = require_mapping(raw.get("request"), "its request")
    answer = require_mapping(raw.get("response"), "its response")
    url = asked.get("uri", asked.get("url"))
    if isinstance(url, str):
        url = url.partition("#")[0]  # a fragment is never sent
    request = request_of(asked.get("method"), url, header_list(asked.get("headers")), _body(asked))
    status, reason = _status(answer)
    response = response_of(
        status,
        header_list(answer.get("headers")),
        _body(answer),
        reason=reason,
        version=answer.get("http_version"),
    )
    return exchange(request, response)


def _body(message: Mapping[str, JSON]) -> Body:
    if "parsed_body" in message:
        return Body(value=message["parsed_body"], is_parsed=True)
    return Body.of(next((message[key] for key in ("body", "content", "text") if key in message), None))


def _status(answer: Mapping[str, JSON]) -> tuple[JSON, JSON]:
    status = answer.get("status", answer.get("status_code"))
    if not isinstance(status, dict):
        return status, None
    message = status.get("message")
    return status.get("code"), message.decode("latin-1") if isinstance(message, bytes) else message


VCRPY = Tool(name="vcrpy", wrote=_is_vcr, listed=lambda root: root["interactions"], translate=_translated)
DDAPM_TEST_AGENT = Tool(
    name="ddapm-test-agent", wrote=_is_single_exchange, listed=lambda root: [root], translate=_translated
)
