"""Stand-ins of secrets are found in what is sent, in every form."""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Callable

import pytest

from pytest_agenttape.model import JSON
from pytest_agenttape.redaction.handed_out import HandedOut

WAYS: dict[str, Callable[[str], JSON]] = {
    "a header": lambda token: {"headers": {"authorization": f"Bearer {token}"}},
    "basic authentication": lambda token: {"headers": {"a": base64.b64encode(f"ada:{token}".encode()).decode()}},
    "bytes": lambda token: {"body_b64": base64.b64encode(b"\xff " + token.encode()).decode()},
    "lower case": lambda token: {"url": f"https://shop.example/{token.lower()}"},
    "UTF-16": lambda token: {"body_b64": base64.b64encode(token.encode("utf-16")).decode()},
    "gzip": lambda token: {"body_b64": base64.b64encode(gzip.compress(f"is {token}".encode())).decode()},
    "deflate": lambda token: {"body_b64": base64.b64encode(zlib.compress(f"is {token}".encode())).decode()},
}


def test_a_code_is_found_by_itself_not_in_another_number() -> None:
    handed_out = HandedOut[str]()
    handed_out.note("507919", "mail")
    assert handed_out.find({"url": "https://shop.example/507919?a=k%3D1"}) == ("507919", "mail")
    assert handed_out.find({"json": {"code": 507919}}) == ("507919", "mail")
    assert handed_out.find({"json": {"at": 1764507919, "id": "5079190"}}) is None


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_it_is_found(way: Callable[[str], JSON]) -> None:
    handed_out = HandedOut[str]()
    handed_out.note("REDACTED0007", "login")
    assert handed_out.find(way("REDACTED0007")) == ("REDACTED0007", "login")
    assert handed_out.find(way("REDACTED1234")) is None
