"""The canonical form: which requests are the same call, by tables and laws."""

from __future__ import annotations

import random
import string
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_agenttape import ConfigError
from pytest_agenttape.bodies import encode_body
from pytest_agenttape.matching.canonical import (
    VOLATILE_PARAMETERS,
    KeyRules,
    canonical_request,
    canonical_text,
    match_key,
)
from pytest_agenttape.matching.headers import VOLATILE_HEADERS, stored_headers
from pytest_agenttape.model import JSON
from pytest_agenttape.redaction import RedactionRules, Redactor

DEFAULT = KeyRules()
EXACT = DEFAULT.exact()


def http(
    url: str = "https://api.example.com/v1", headers: dict[str, JSON] | None = None, **body: JSON
) -> dict[str, JSON]:
    return {"method": "POST", "url": url, "headers": headers or {}, **body}


def args(**given: JSON) -> dict[str, JSON]:
    return {"args": given}


def are_same(one: dict[str, JSON], other: dict[str, JSON], rules: KeyRules = DEFAULT) -> bool:
    return canonical_text(one, rules) == canonical_text(other, rules)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def value_and_shuffled(draw: st.DrawFn) -> tuple[JSON, JSON]:
    value = draw(json_values)
    return value, _shuffled(value, draw(st.randoms(use_true_random=False)))


def _shuffled(value: JSON, rng: random.Random) -> JSON:
    if isinstance(value, dict):
        pairs = [(key, _shuffled(each, rng)) for key, each in value.items()]
        rng.shuffle(pairs)
        return dict(pairs)
    return [_shuffled(each, rng) for each in value] if isinstance(value, list) else value


@given(value_and_shuffled())
def test_the_order_of_keys_does_not_matter_at_any_depth(pair: tuple[JSON, JSON]) -> None:
    one, other = pair
    assert are_same(args(x=one), args(x=other))
    assert are_same(http(json=one), http(json=other))


@given(json_values, json_values)
@example(1, True)
@example(1, 1.0)
@example(0.0, -0.0)
@example("1", 1)
@example(None, "null")
@example([1, 2], [2, 1])
@example({"a": None}, {})
@example("\ud800", "\udfff")
def test_different_values_are_different_calls(one: JSON, other: JSON) -> None:
    same = _typed(one) == _typed(other)
    assert are_same(args(x=one), args(x=other)) == same


def _typed(value: JSON) -> Any:
    if isinstance(value, dict):
        return ("dict", frozenset((key, _typed(each)) for key, each in value.items()))
    if isinstance(value, list):
        return ("list", tuple(map(_typed, value)))
    return type(value).__name__, repr(value)


@given(st.text())
def test_a_key_is_sixteen_hex_digits_of_any_text(text: str) -> None:
    assert len(match_key(text)) == 16
    assert set(match_key(text)) <= set(string.hexdigits.lower())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://127.0.0.1:5000/x", "http://127.0.0.1:6000/x"),
        ("http://localhost:5000/x", "http://localhost/x"),
        ("http://[::1]:5000/x", "http://[::1]:6000/x"),
        ("http://api.localhost:1/x", "http://api.localhost:2/x"),
        ("https://api.example.com:443/x", "https://api.example.com/x"),
        ("http://api.example.com:80/x", "http://api.example.com/x"),
        ("HTTPS://API.example.COM/x", "https://api.example.com/x"),
        ("https://api.example.com", "https://api.example.com/"),
        ("https://e.com/x?b=2&a=1", "https://e.com/x?a=1&b=2"),
        ("https://e.com/x?a=1&timestamp=1", "https://e.com/x?a=1&timestamp=2"),
        ("https://e.com/x?a=b%20c", "https://e.com/x?a=b+c"),
        ("https://e.com/x?a=1&Nonce=z", "https://e.com/x?a=1"),
        ("https://e.com/x#one", "https://e.com/x#two"),
    ],
)
def test_urls_that_are_the_same_call(one: str, other: str) -> None:
    assert are_same(http(one), http(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.example.com/", "https://b.example.com/"),
        ("https://a.example.com:8443/", "https://a.example.com/"),
        ("http://a.example.com/", "https://a.example.com/"),
        ("http://localhost/x", "http://127.0.0.1/x"),
        ("https://e.com/x", "https://e.com/X"),
        ("https://e.com/x?a=1", "https://e.com/x?a=2"),
        ("https://e.com/x?a=1", "https://e.com/x?A=1"),
        ("https://e.com/x?a=1&a=2", "https://e.com/x?a=1"),
        ("https://e.com/x?point=A&point=B", "https://e.com/x?point=B&point=A"),
        ("https://e.com/x?a=", "https://e.com/x"),
        ("https://e.com/x?a=%FF", "https://e.com/x?a=%FE"),
    ],
)
def test_urls_that_are_different_calls(one: str, other: str) -> None:
    assert not are_same(http(one), http(other))


@pytest.mark.parametrize(
    "url", ["http://[bad/x", "http://]/", "", "//", "http://e.com:port/", "\ud800", "mailto:x", "http://a]b@[::1/"]
)
def test_a_url_that_is_none_equals_itself_alone(url: str) -> None:
    assert are_same(http(url), http(url))
    assert not are_same(http(url), http("http://e.com/y"))


@given(st.text(max_size=60))
def test_any_text_can_stand_where_a_url_does(url: str) -> None:
    assert are_same(http(url), http(url))


@pytest.mark.parametrize(
    "request_",
    [{"method": 1, "url": 5}, {"method": "GET", "url": "x", "headers": ["a"]}, {"url": "x"}, {"args": {}, "url": []}],
)
def test_a_request_that_an_author_spelled_out_need_not_be_http(request_: dict[str, JSON]) -> None:
    assert are_same(request_, dict(request_))


# -- what is volatile


_CREDENTIALS = ["Cookie", "Authorization", "x-api-key", "Proxy-Authorization", "x-goog-api-key", "X-Amz-Security-Token"]
_SIGNED = ["x-amz-date", "x-amz-content-sha256"]
_MACHINE = ["OpenAI-Organization", "OpenAI-Project", "x-tenant", "traceparent", "x-ms-client-version", "x-app"]


@pytest.mark.parametrize("name", [*_MACHINE, "date", "x-request-id", "idempotency-key"])
def test_a_header_that_tells_of_the_machine_does_not_matter_but_to_exact(name: str) -> None:
    one, other = http(headers={name.title(): "1"}), http(headers={name: "2"})
    assert are_same(one, other)
    assert are_same(one, http())
    assert not are_same(one, other, EXACT)
    assert not are_same(one, other, KeyRules.of((), (name.upper(),)))


@pytest.mark.parametrize("name", [*_CREDENTIALS, *_SIGNED])
@pytest.mark.parametrize("rules", [DEFAULT, EXACT], ids=["default", "exact"])
def test_a_credential_is_not_compared_in_value_scheme_or_presence(name: str, rules: KeyRules) -> None:
    assert are_same(http(headers={name: "Bearer one"}), http(headers={name: "Basic two"}), rules)
    assert are_same(http(headers={name: "Bearer one"}), http(), rules)


@pytest.mark.parametrize(
    "url",
    ["https://user:pw@e.com/x?a=1", "https://other@e.com/x?a=1", "https://e.com/x?a=1&api_key=REDACTED0001",
     "https://e.com/x?api_key=REDACTED0002&a=1", "https://u:REDACTED0001@e.com/x?a=1"],
)  # fmt: skip
@pytest.mark.parametrize("rules", [DEFAULT, EXACT], ids=["default", "exact"])
def test_a_credential_in_a_url_is_not_compared_either(url: str, rules: KeyRules) -> None:
    assert are_same(http(url), http("https://e.com/x?a=1"), rules)


def test_a_parameter_that_held_a_secret_when_recorded_is_not_compared() -> None:
    rules = DEFAULT.fitted_to(
        [http("https://e.com/x?a=1&Key=REDACTED0001"), args(key="x")], {"redacted": ["REDACTED0001"]}
    )
    for url in ("https://e.com/x?a=1", "https://e.com/x?a=1&key=test", "https://e.com/x?KEY=&a=1"):
        assert are_same(http("https://e.com/x?a=1&Key=REDACTED0001"), http(url), rules)
        assert not are_same(http("https://e.com/x?a=2&Key=REDACTED0001"), http(url), rules)
    assert not are_same(http("https://e.com/x?key=a"), http("https://e.com/x?key=b"))


@pytest.mark.parametrize(
    "name",
    "Accept Content-Type Range anthropic-beta Anthropic-Version OpenAI-Beta X-Amz-Target "
    "SOAPAction x-amz-copy-source X-HTTP-Method-Override If-Match Prefer Notion-Version X-Amz-Invocation-Type "
    "X-Amz-ACL x-amz-meta-owner X-Amzn-Bedrock-GuardrailIdentifier X-Amzn-SageMaker-Target-Model "
    "azureml-model-deployment X-Goog-Copy-Source x-ms-copy-source x-ms-rename-source Dropbox-API-Arg "
    "X-Target-Selector X-GitHub-Api-Version".split(),
)
def test_a_header_that_says_what_is_asked_for_matters(name: str) -> None:
    assert are_same(http(headers={name: "a"}), http(headers={name.lower(): "a"}))
    assert not are_same(http(headers={name: "a"}), http(headers={name: "b"}))
    assert not are_same(http(headers={name: "a"}), http())
    assert are_same(http(headers={name: "a"}), http(headers={name: "b"}), KeyRules.of((name,)))


def test_a_credential_is_not_compared_even_if_it_is_named() -> None:
    rules = KeyRules.of((), ["Authorization", "X-Tenant"])
    with_key = http(headers={"authorization": "Bearer REDACTED0001", "x-tenant": "a"})
    assert are_same(with_key, http(headers={"x-tenant": "a"}), rules)
    assert not are_same(with_key, http(headers={"authorization": "Bearer REDACTED0001", "x-tenant": "b"}), rules)


@pytest.mark.parametrize("name", ["Host", "Content-Length"])
def test_a_header_of_the_connection_cannot_be_compared(name: str) -> None:
    with pytest.raises(ConfigError, match=f"match_headers: no cassette has the header '{name}', which the conn"):
        KeyRules.of((), ["x-tenant", name])


def test_parameters_of_a_content_type_do_not_matter() -> None:
    one = http(headers={"content-type": "application/json"}, json=1)
    assert are_same(one, http(headers={"Content-Type": "Application/JSON; charset=utf-8"}, json=1))


def test_what_is_accepted_matters_unless_the_cassette_is_from_before_it_was_stored() -> None:
    csv = http(headers={"accept": "text/csv"})
    assert not are_same(csv, http(), DEFAULT.fitted_to([http()], {"redacted": []}))
    assert are_same(csv, http(), DEFAULT.fitted_to([http()], {}))


@pytest.mark.parametrize(
    ("url", "is_same"),
    [
        ("https://gateway.example.com:8443/v1/chat/completions", True),
        ("http://10.0.0.7/v1/chat/completions", True),
        ("https://api.openai.com/v2/chat/completions", False),
        ("https://api.openai.com/v1/chat/completions?a=1", False),
    ],
)
def test_the_base_of_an_llm_call_can_be_left_out(url: str, is_same: bool) -> None:
    rules = KeyRules.of((), base_url=False)
    recorded = http("https://api.openai.com/v1/chat/completions")
    assert are_same(recorded, http(url), rules) is is_same
    assert not are_same(recorded, http(url))
    assert not are_same(http("https://shop.test/orders"), http("https://staging.test/orders"), rules)


@pytest.mark.parametrize("name", ["User-Agent", "Host", "X-Stainless-Lang", "Content-Length", "sec-fetch-mode"])
def test_a_header_of_the_client_library_never_matters(name: str) -> None:
    assert are_same(http(headers={name: "1"}), http(), EXACT)


@pytest.mark.parametrize("name", sorted(VOLATILE_HEADERS | VOLATILE_PARAMETERS))
def test_no_tool_argument_and_no_body_field_is_volatile_by_its_name(name: str) -> None:
    assert not are_same(args(**{name: 1}), args(**{name: 2}))
    assert not are_same(http(json={name: 1}), http(json={name: 2}))
    assert not are_same(http(form=[[name, "1"]]), http(form=[[name, "2"]]))


def test_configured_names_are_headers_and_parameters_alone() -> None:
    rules = KeyRules.of(("X-Tenant", "page"))
    assert are_same(http(headers={"x-tenant": "a"}), http(headers={"X-TENANT": "b"}), rules)
    assert are_same(http("https://e.com/?Page=1"), http("https://e.com/?page=2"), rules)
    assert not are_same(args(page=1), args(page=2), rules)
    assert not are_same(http(json={"page": 1}), http(json={"page": 2}), rules)


# -- ignored paths

ONE: dict[str, JSON] = {
    "args": {"when": "now", "query": "q", "items": [{"id": 1, "n": "a"}, {"id": 2, "n": "b"}]},
    "json": {"metadata": {"run_id": "r1", "deep": {"run_id": "r2"}}, "run_id": "r3"},
}
OTHER: dict[str, JSON] = {
    "args": {"when": "then", "query": "q", "items": [{"id": 7, "n": "a"}, {"id": 8, "n": "b"}]},
    "json": {"metadata": {"run_id": "x1", "deep": {"run_id": "x2"}}, "run_id": "x3"},
}


@pytest.mark.parametrize(
    "paths",
    [
        ("args.when", "args.items[0].id", "args.items[1].id", "**.run_id"),
        ("args.when", "args.items[*].id", "json.metadata.run_id", "json.metadata.deep.run_id", "json.run_id"),
        ("args.when", "args.items.*.id", "json.*.run_id", "json.*.*.run_id", "json.run_id"),
        ("args.when", "args.items[-1].id", "args.items[-2].id", "json.**"),
        ("**.when", "**.id", "**.run_id"),
        ("args.**", "json.*"),
        ("args.when", "args.items.**.id", "json.**"),
    ],
)  # fmt: skip
def test_an_ignored_path_is_left_out_of_both_sides(paths: tuple[str, ...]) -> None:
    assert not are_same(ONE, OTHER)
    assert are_same(ONE, OTHER, KeyRules.of(paths))
    assert not are_same(ONE, {**OTHER, "kept": 1}, KeyRules.of(paths))


@pytest.mark.parametrize("missing", [1, 2])
def test_a_value_on_an_ignored_path_may_be_missing(missing: int) -> None:
    rules = KeyRules.of(("args.when",))
    assert are_same(args(q=1, when=2), args(q=1), rules)
    assert not are_same(args(q=missing, when=2), args(q=3), rules)


def test_items_of_ignored_positions_still_count() -> None:
    rules = KeyRules.of(("args.items[*]",))
    assert are_same(args(items=[1, 2]), args(items=[3, 4]), rules)
    assert not are_same(args(items=[1, 2]), args(items=[3]), rules)


def test_a_header_on_a_path_is_found_whatever_its_case() -> None:
    rules = KeyRules.of(("headers.X-Run",))
    assert are_same(http(headers={"x-run": "1"}), http(headers={"X-RUN": "2"}), rules)


@pytest.mark.parametrize("field", ["", " ", ".", "..", "[]", "[].", " . "])
def test_an_ignored_field_that_is_empty_is_refused(field: str) -> None:
    with pytest.raises(ConfigError, match="an entry is empty"):
        KeyRules.of((field,))


@given(st.lists(st.text("ab*-.[]0²٣ ", min_size=1, max_size=8), max_size=3), json_values)
@example(["a.²"], {"a": [1]})
@example(["a.--1"], {"a": [1]})
@example(["**.**.a"], {"a": {"a": 1}})
def test_no_path_breaks_on_any_request(fields: list[str], value: JSON) -> None:
    try:
        rules = KeyRules.of(tuple(fields))
    except ConfigError:
        return
    assert are_same(args(x=value), args(x=value), rules)


# -- secrets


@pytest.mark.parametrize(
    "make", [lambda key: http(headers={"Authorization": f"Bearer {key}"}), lambda key: args(note=f"key {key}")]
)
def test_all_secrets_of_a_kind_are_one(make: Any) -> None:
    redactor = Redactor(RedactionRules(), {})
    keys = ["sk-proj-" + digit * 3 + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6" for digit in "12"]
    one, other = (redactor.value(make(key)) for key in keys)
    assert keys[0] not in str(one)
    assert are_same(one, other)


@pytest.mark.parametrize("boundary", ["one", "two"])
def test_a_multipart_boundary_does_not_matter(boundary: str) -> None:
    def upload(mark: str) -> dict[str, JSON]:
        text = f'--{mark}\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--{mark}--\r\n'
        return http(headers={"Content-Type": f"multipart/form-data; boundary={mark}"}, text=text)

    assert are_same(upload(boundary), upload("0123456789abcdef"))


def test_the_layout_of_a_json_body_does_not_matter() -> None:
    assert are_same(http(json={"a": 1}, json_layout={"indent": 2}), http(json={"a": 1}))


@pytest.mark.parametrize(
    ("chosen", "spelled"),
    [
        ("<REDACTED>", "<REDACTED0001>"),
        ("[REDACTED]", "[REDACTED0001]"),
        ("***REDACTED***", "***REDACTED0001***"),
        ("-****-", "-****0001-"),
        ("<hidden>", "<hidden>"),
    ],
)
def test_a_placeholder_of_the_users_choice_stands_for_a_secret(chosen: str, spelled: str) -> None:
    url = f"https://e.com/x?api_key={quote(spelled)}&a=1"
    rules = KeyRules.of((), placeholder=chosen).fitted_to([http(url)], {"redacted": ["REDACTED0001", "****0001"]})
    assert are_same(http(url), http("https://e.com/x?a=1"), rules)
    assert canonical_text(args(api_key=spelled), rules) == '{"args":{"api_key":"REDACTED"}}'
    assert are_same(args(x=f"key {spelled} end"), args(x="key REDACTED0001 end"), rules)
    assert not are_same(args(x=f"key {spelled} end"), args(x=f"key {spelled} and"), rules)
    other = spelled.replace("0001", "0002")  # not listed, so a text
    assert are_same(args(x=other), args(x=spelled), rules) is (other == spelled)


@pytest.mark.parametrize("chosen", ["{}", "null", "-", "12"])
def test_a_placeholder_that_json_is_made_of_is_left_alone(chosen: str) -> None:
    request = args(x={}, y=None, z=[-12])
    assert canonical_request(request, KeyRules.of((), placeholder=chosen)) == request


@pytest.mark.parametrize("name", ["x tenant", "x-tenant:", "größe", "x-a, x-b"])
def test_a_name_that_no_header_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is not the name of a header, such as 'x-tenant'"):
        KeyRules.of((), ["x-tenant", name])


ODDLY_SPACED = '{ "a": [1,2],\n "b" : {"c": null} }'


@pytest.mark.parametrize(
    "type_", ["application/json", "application/json; charset=utf-8", "application/vnd.api+json", None]
)
def test_nor_does_a_layout_that_only_text_can_keep(type_: str | None) -> None:
    headers: dict[str, JSON] = {} if type_ is None else {"content-type": type_}
    value = {"b": {"c": None}, "a": [1, 2]}
    assert are_same(http(headers=headers, text=ODDLY_SPACED), http(headers=headers, json=value))
    other = ODDLY_SPACED.replace("2", "2.0")
    assert not are_same(http(headers=headers, text=other), http(headers=headers, json=value))


@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "a": 2 }', "{ ", "[" * 100_000, "[ 1e999, 2]", '{"eth":1.000000000000000001}', "[1e-400]", "[-0]"],
)
def test_a_text_that_says_more_than_a_value_is_compared_as_text(text: str) -> None:
    headers: dict[str, JSON] = {"content-type": "application/json"}
    assert are_same(http(headers=headers, text=text), http(headers=headers, text=text))
    assert not are_same(http(headers=headers, text=text), http(headers=headers, text=f" {text}"))


@pytest.mark.parametrize(
    ("recorded", "asked"),
    [
        ('{"eth":1.000000000000000001}', '{"eth":1.000000000000000002}'),
        ("[12345678901234567.89]", "[1.2345678901234568e+16]"),
        ("[0]", "[-0]"),
    ],
)
def test_digits_that_no_float_holds_are_compared(recorded: str, asked: str) -> None:
    one, other = (http(**encode_body(each.encode(), "application/json")) for each in (recorded, asked))
    assert are_same(one, one)
    assert not are_same(one, other)
    assert are_same(http(json=[0.1], json_layout="numbers=0.10"), http(json=[0.1]))


def test_a_text_that_is_sent_as_text_keeps_its_spaces() -> None:
    headers: dict[str, JSON] = {"content-type": "text/plain"}
    assert not are_same(http(headers=headers, text=ODDLY_SPACED), http(headers=headers, text=f" {ODDLY_SPACED}"))


def signed(by: str, token: str = "one") -> dict[str, JSON]:
    scope = f"{by}/20260617/eu-west-1/bedrock/aws4_request"
    return {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={by}",
        "X-Amz-Date": f"20260617T{by}",
        "X-Amz-Security-Token": token,
        "X-Amz-Content-SHA256": by,
    }


@pytest.mark.parametrize("rules", [DEFAULT, EXACT], ids=["default", "exact"])
def test_how_a_request_to_amazon_is_signed_is_never_compared(rules: KeyRules) -> None:
    assert are_same(http(headers=signed("one")), http(headers=signed("two", "other")), rules)
    assert are_same(http(headers=signed("one")), http(headers={"authorization": "AWS4-HMAC-SHA256 x"}), rules)


def test_a_request_of_amazons_sdk_is_the_same_however_it_is_authorised() -> None:
    sdk: dict[str, JSON] = {"amz-sdk-invocation-id": "1"}
    bearer = http(headers={**sdk, "authorization": "Bearer x"})
    assert are_same(http(headers={**sdk, **signed("one")}), bearer)
    assert are_same(http(headers=sdk), bearer)


def test_how_a_url_of_amazons_is_signed_is_not_compared() -> None:
    one, two = (f"https://b.s3.amazonaws.com/k?X-Amz-Credential={by}&X-Amz-Signature={by}&a=1" for by in ("x", "y"))
    assert are_same(http(one), http(two))
    assert not are_same(http(one), http(two.replace("a=1", "a=2")))


@pytest.mark.parametrize("like_one", ["****4242", "****", "REDACTED0007", "%2A%2A%2A%2A4242"])
def test_text_that_only_looks_like_a_placeholder_is_text(like_one: str) -> None:
    rules = DEFAULT.fitted_to([], {"redacted": ["REDACTED0001", "REDACTED0002"]})
    assert not are_same(args(card=f"ends in {like_one}"), args(card="ends in ****1881"), rules)
    assert not are_same(args(card=f"ends in {like_one}"), args(card="ends in REDACTED0001"), rules)
    assert are_same(args(card="ends in REDACTED0002"), args(card="ends in REDACTED0001"), rules)
    assert are_same(args(card=f"ends in {like_one}"), args(card="ends in ****1881")), "in a cassette without a list"


def test_a_placeholder_of_the_run_is_one() -> None:
    rules = DEFAULT.fitted_to([], {"redacted": ["REDACTED0001"]})
    redactor = Redactor(RedactionRules(), {}, taken=["REDACTED0008"], issued=rules.placeholders)
    asked = redactor.request(args(password="hT4vRm8KpXz2WnQ6Yd"))
    assert asked == args(password="REDACTED0009")
    assert are_same(asked, args(password="REDACTED0001"), rules)
    assert not are_same(asked, args(password="REDACTED0002"), rules)


def test_a_secret_in_a_parameter_says_nothing_of_that_parameter_elsewhere() -> None:
    recorded = [http("https://e.com/g?key=REDACTED0001"), http("https://e.com/kv?key=users/12")]
    recorded += [http("https://e.com/find?q=REDACTED0002"), http("https://e.com/find?q=cats")]
    rules = DEFAULT.fitted_to(recorded, {"redacted": ["REDACTED0001", "REDACTED0002"]})
    assert are_same(recorded[0], http("https://e.com/g?key=test"), rules)
    assert not are_same(recorded[1], http("https://e.com/kv?key=users/13"), rules)
    assert not are_same(recorded[3], http("https://e.com/find?q=cows"), rules)
    assert are_same(recorded[2], http("https://e.com/find?q=REDACTED0001"), rules)


@pytest.mark.parametrize(
    ("value", "kept"),
    [("*/*", False), ("application/json", False), ("application/json, text/event-stream", False), ("text/csv", True),
     ("text/event-stream", True), ("text/html,application/json;q=0.9", True)],
)  # fmt: skip
def test_an_accept_that_clients_set_by_themselves_is_not_stored(value: str, kept: bool) -> None:
    assert bool(stored_headers((("Accept", value),))) is kept
