"""What the user allows stays, whichever rule finds it; everything else goes as before."""

from __future__ import annotations

import pytest

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.redaction import RedactionRules, Redactor

KEY = "sk-test-" + "a1b2c3d4" * 4
OTHER = "sk-live-" + "a1b2c3d4" * 4
RULES = RedactionRules(allow=("sk-test-[a-z0-9]{32}", "C-[0-9]"), denylist=("customer",))


def test_an_allowed_value_stays_wherever_it_is_found() -> None:
    redactor = Redactor(RULES, {"SHOP_API_KEY": KEY})
    value = {"text": f"with {KEY}", "api_key": KEY, "customer": ["C-1", "C-2"], "more": {"note": f"key={KEY}"}}
    assert redactor.value(value) == value
    headers = {
        "url": f"https://h.example/?api_key={KEY}",
        "headers": {"Authorization": f"Bearer {KEY}", "X-Api-Key": KEY},
    }
    assert redactor.request(headers) == headers
    assert redactor.scan(f"{value} {headers}") == []


def test_what_only_begins_like_an_allowed_value_goes() -> None:
    redactor = Redactor(RULES, {"SHOP_API_KEY": OTHER})
    assert redactor.value({"api_key": KEY + "x", "text": OTHER, "customer": "C-12"}) == {
        "api_key": "REDACTED0001",
        "text": "REDACTED0002",
        "customer": "REDACTED0003",
    }
    assert redactor.scan(OTHER)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(a+)+b", "redact.allow: '(a+)+b' can take very long on some texts"),
        ("a*", "redact.allow: 'a*' matches the empty text"),
    ],
)
def test_an_allowed_pattern_is_bounded(pattern: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        RedactionRules(allow=(pattern,))
    assert str(refused.value).startswith(problem)


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        (RedactionRules(enabled=False), ("a", "b")),
        (RedactionRules(denylist=("x",)), ()),
        (RedactionRules(allow=("b", "c")), ("b",)),
    ],
    ids=["none", "without", "with"],
)
def test_a_project_allows_nothing_that_a_policy_redacts(policy: RedactionRules, allowed: tuple[str, ...]) -> None:
    assert RedactionRules(allow=("a", "b")).merged(policy).allow == allowed
