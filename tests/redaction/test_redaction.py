"""Secrets never reach a cassette, and what is no secret stays as it is."""

from __future__ import annotations

import base64
import gzip
import json
import random
import string
import zlib
from collections.abc import Callable
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_agenttape import bodies, serializer
from pytest_agenttape.bodies.messages import Headers, grouped, listed
from pytest_agenttape.errors import ConfigError, RecordingRefusedError
from pytest_agenttape.model import JSON
from pytest_agenttape.redaction import PLACEHOLDER, RedactionRules, Redactor, canonical_secrets, commands
from pytest_agenttape.redaction.placeholders import Placeholders
from pytest_agenttape.redaction.streams import spread

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + "234567"


def fake(prefix: str, length: int, alphabet: str = ALNUM) -> str:
    """Return a token of the format that is no one's; made at run time, so that no scanner finds it in this file."""
    return prefix + "".join(random.Random(prefix + str(length)).choices(alphabet, k=length))


def segment(value: JSON) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


JWT = f"{segment({'alg': 'HS256', 'typ': 'JWT'})}.{segment({'sub': '42', 'exp': 1781000000})}.{fake('', 43)}"
PEM_BODY = "\n".join(fake(str(row), 63) for row in range(4))
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{PEM_BODY}\n-----END RSA PRIVATE KEY-----"

FORMATS = {
    "openai": fake("sk-", 48),
    "openai-project": fake("sk-proj-", 100),
    "openai-service": fake("sk-svcacct-", 60),
    "openai-session": fake("sess-", 40),
    "openai-realtime": fake("ek_", 32, HEX),
    "anthropic": fake("sk-ant-api03-", 93),
    "openrouter": fake("sk-or-v1-", 64, HEX),
    "google-key": fake("AIza", 35),
    "google-auth-key": fake("AQ.Ab8RN6", 44),
    "google-oauth": fake("ya29.", 60),
    "google-client-secret": fake("GOCSPX-", 28),
    "aws-key-id": fake("AKIA", 16, UPPER),
    "aws-temporary-id": fake("ASIA", 16, UPPER),
    "github-classic": fake("ghp_", 36),
    "github-oauth": fake("gho_", 36),
    "github-user": fake("ghu_", 36),
    "github-server": fake("ghs_", 36),
    "github-refresh": fake("ghr_", 36),
    "github-fine-grained": fake("github_pat_", 82),
    "gitlab": fake("glpat-", 20),
    "slack-bot": fake("xoxb-", 40),
    "slack-user": fake("xoxp-", 40),
    "stripe-live": fake("sk_live_", 24),
    "stripe-restricted": fake("rk_live_", 24),
    "stripe-test": fake("sk_test_", 24),
    "stripe-webhook": fake("whsec_", 32),
    "huggingface": fake("hf_", 34),
    "groq": fake("gsk_", 52),
    "cerebras": fake("csk-", 48, string.ascii_lowercase + string.digits),
    "npm": fake("npm_", 36),
    "pypi": fake("pypi-", 80),
    "sendgrid": fake("SG.", 22) + "." + fake("", 43),
    "twilio": fake("SK", 32, HEX),
    "xai": fake("xai-", 80),
    "perplexity": fake("pplx-", 48),
    "replicate": fake("r8_", 37),
    "databricks": fake("dapi", 32, HEX),
    "tavily": fake("tvly-", 32),
    "mailgun": fake("key-", 32, HEX),
    "digitalocean": fake("dop_v1_", 64, HEX),
    "vault": fake("hvs.", 90),
    "jwt": JWT,
    "pem": PEM,
}


def redact_url(subject: Redactor, url: str) -> str:
    redacted: str = subject.request({"url": url})["url"]
    return redacted


def redact_headers(subject: Redactor, headers: Headers) -> Headers:
    return listed(subject.request({"url": "", "headers": grouped(headers)})["headers"])


def redact_body(subject: Redactor, stored: JSON, content_type: str | None = None) -> JSON:
    headers = {"headers": {"content-type": content_type}} if content_type else {}
    clean = subject.response({**headers, **stored}, {"url": ""})
    return stored if all(clean[form] is stored[form] for form in stored) else {form: clean[form] for form in stored}


PLACES: dict[str, Callable[[Redactor, str], object]] = {
    "prose": lambda redactor, secret: redactor.text(f"The key is {secret}, keep it."),
    "value": lambda redactor, secret: redactor.value({"a": [1, {"note": secret}]}),
    "dict key": lambda redactor, secret: redactor.value({secret: 1}),
    "json in json": lambda redactor, secret: redactor.value({"arguments": json.dumps({"q": f"use\n{secret}"})}),
    "json in json in json": lambda r, secret: r.value({"a": json.dumps({"b": json.dumps({"c": [secret]})})}),
    "json body": lambda redactor, secret: redact_body(redactor, {"json": {"messages": [{"content": f"see {secret}"}]}}),
    "form": lambda redactor, secret: redact_body(redactor, {"form": {"q": secret, "many": ["a", secret]}}),
    "text body": lambda redactor, secret: redact_body(redactor, {"text": f"a: b\nc {secret}\n"}, "text/plain"),
    "binary body": lambda redactor, secret: redact_body(
        redactor, {"body_b64": base64.b64encode(b"\xff\x00" + secret.encode() + b"\x00\xfe").decode()}
    ),
    "multipart": lambda redactor, secret: redact_body(
        redactor,
        {"text": f'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n{secret}\r\n--b--\r\n'},
        "multipart/form-data; boundary=b",
    ),
    "event": lambda redactor, secret: redact_body(redactor, {"events": [{"data": {"t": secret}}, {"data": "[DONE]"}]}),
    "split event": lambda redactor, secret: redact_body(
        redactor, {"events": chat_chunks(*cut(f"say {secret} now", 3))}
    ),
    "ndjson": lambda redactor, secret: redact_body(
        redactor,
        {"text": "".join(json.dumps({"m": piece}) + "\n" for piece in cut(f"say {secret} now", 5))},
        "application/x-ndjson",
    ),
    "bytes": lambda redactor, secret: redactor.value({"blob": b"\xff" + secret.encode() + b"\xff"}),
    "stored bytes": lambda r, secret: r.value({"base64": base64.b64encode(b"\xff " + secret.encode()).decode()}),
    "header": lambda redactor, secret: redact_headers(redactor, (("X-Note", f"a {secret.splitlines()[0]}"),)),
    "url path": lambda redactor, secret: redact_url(redactor, f"https://h.example/a/{quote(secret, safe='')}/b"),
    "url query": lambda redactor, secret: redact_url(redactor, f"https://h.example/?q={quote(secret, safe='')}"),
    "url userinfo": lambda redactor, secret: redact_url(redactor, f"https://user:{quote(secret, safe='')}@h.example/"),
    "error message": lambda r, secret: r.value(
        {"type": "ValueError", "message": f"bad key {secret}!", "args": [secret]}
    ),
}


def chat_chunks(*pieces: str) -> list[JSON]:
    return [{"data": {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": each}}]}} for each in pieces]


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def written(value: object) -> str:
    """Return everything that a file could show of *value*: with binary content decoded, and stream pieces joined."""
    texts: list[str] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            for key, each in node.items():
                walk(key)
                walk(base64.b64decode(each).decode("latin-1") if key in ("body_b64", "base64") else each)
        elif isinstance(node, list | tuple):
            for each in node:
                walk(each)
        else:
            texts.append(node.decode("latin-1") if isinstance(node, bytes) else str(node))

    walk(value)
    joined = "".join(texts)
    return joined + joined.replace('"}\n{"m": "', "")


def redactor(**options: object) -> Redactor:
    environ = options.pop("environ", {})
    return Redactor(RedactionRules(**options), environ)  # type: ignore[arg-type]  # the options are the rules' own


@pytest.mark.parametrize("secret", FORMATS.values(), ids=FORMATS.keys())
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_planted_secret_is_gone(place: Callable[[Redactor, str], object], secret: str) -> None:
    if place is PLACES["header"] and secret is PEM:
        pytest.skip("a header has one line")
    text = written(place(redactor(), secret))
    for part in (secret, secret[-16:], secret.split(".")[-1]) if secret is not PEM else PEM_BODY.splitlines():
        assert part not in text
        assert json.dumps(part)[1:-1] not in text


OPAQUE = fake("", 24)

NAMED_VALUES = {
    name: {name: OPAQUE}
    for name in (
        "api_key apikey apiKey API_KEY x-api-key openaiApiKey access_token accessToken refresh-token"
        " id_token client_secret clientSecret password passwd db_password secret private_key"
        " session_token authorization credentials aws_secret_access_key SecretAccessKey SessionToken"
        " token auth_token bot_token api_key_2 password1 apiKeyValue secretString"
    ).split()
}


@pytest.mark.parametrize("value", NAMED_VALUES.values(), ids=NAMED_VALUES.keys())
def test_secret_shaped_text_under_a_secrets_name_goes(value: JSON) -> None:
    (name,) = value
    assert redactor().value(value) == {name: "REDACTED0001"}
    assert OPAQUE not in redactor().value({"arguments": json.dumps(value)})["arguments"]
    assert OPAQUE not in redactor().value([{"name": name, "value": OPAQUE}])[0]["value"]
    assert OPAQUE not in redactor().value([{"Key": name, "Value": OPAQUE}])[0]["Value"]
    assert OPAQUE not in redactor().text(f"{name} = {OPAQUE}\n")


def test_the_key_of_a_data_source_goes() -> None:
    source = {"endpoint": "https://s.search.windows.net", "authentication": {"type": "api_key", "key": OPAQUE}}
    assert redactor().value(source)["authentication"] == {"type": "api_key", "key": "REDACTED0001"}


def test_a_decrypted_parameter_goes_whatever_it_is_called_and_looks_like() -> None:
    parameter = {"Name": "/db/main", "Type": "SecureString", "Value": "plain"}
    assert redactor().value({"Parameter": parameter})["Parameter"]["Value"] == "REDACTED0001"
    listed = {**parameter, "Type": "StringList", "Value": "red,green"}
    assert redactor().value([listed]) == [listed]


@pytest.mark.parametrize("value", ["Gr33n-horse-battery", "CorrectHorse4Battery2", "CorrectHorse4", "kX9vQ2mT7zLp"])
def test_a_password_in_a_file_of_settings_goes_however_many_digits_it_has(value: str) -> None:
    assert redactor().text(f"DB_PASSWORD={value}\nDEBUG=1") == "DB_PASSWORD=REDACTED0001\nDEBUG=1"


@pytest.mark.parametrize("value", ["tr0ub4dor&3", "hunter22", "P@ssword", "0123456789abcdef", "correcthorsebattery"])
def test_shorter_mixed_password_goes(value: str) -> None:
    assert redactor().value({"password": value}) == {"password": "REDACTED0001"}


NO_SECRETS: dict[str, JSON] = {
    "null": {"api_key": None},
    "numbers": {"max_tokens": 4096, "token": 12345, "secret": True, "password": 12.5},
    "usage": {"usage": {"completion_tokens": 12, "prompt_tokens_details": {"cached_tokens": 0}}},
    "logprob": {"content": [{"token": " internationalization2024x", "logprob": -0.1, "bytes": [32]}]},
    "page token": {"next_page_token": fake("", 40), "nextPageToken": fake("", 40), "continuationToken": fake("", 40)},
    "special token": {"eos_token": "<|end_of_text|>2024abc", "pad_token": "<pad>"},
    "token type": {"token_type": "bearer", "expires_in": 3600},
    "short word": {"password": "required", "secret": "none"},
    "prose under a name": {"password": "The password of the user, at least 8 characters."},
    "template": {"api_key": "${OPENAI_API_KEY}", "token": "{{ secrets.TOKEN_12345678 }}"},
    "path under a name": {"password": "/run/secrets/db_password_2024"},
    "url under a name": {"credentials": "https://example.com/credentials/help-page"},
    "key of a field": {"type": "password", "key": "smtp_password_2", "label": "Password"},
    "key of another type": {"type": "index", "key": "0123456789abcdef"},
    "key of a token that is no secret": {"type": "token", "key": "0x" + fake("", 40, HEX)},
    "ordinary key": {"key": "city-of-london-2024-population", "keys": ["a", "b"], "primary_key": "user_0123456789abcd"},
    "schema of a parameter that may be null": {
        "properties": {"api_key": {"type": ["string", "null"], "description": "Of the shop, see the 2nd page"}}
    },
    "no schema": {"api_key": {"type": {"a": [1]}}, "password": {"type": [["b"], {}]}},
    "schema": {"properties": {"password": {"type": "string", "description": "A password"}}, "required": ["api_key"]},
    "thinking signature": {"type": "thinking", "signature": fake("EqQB", 200)},
    "encrypted content": {"encrypted_content": fake("gAAAA", 200)},
    "git sha": {"commit": fake("", 40, HEX)},
    "sha256": {"digest": "sha256:" + fake("", 64, HEX)},
    "uuid": {"id": "550e8400-e29b-41d4-a716-446655440000"},
    "openai ids": {
        "id": fake("chatcmpl-", 29),
        "call": fake("call_", 24),
        "response": fake("resp_", 48, HEX),
        "file": fake("file-", 24),
        "assistant": fake("asst_", 24),
        "fingerprint": fake("fp_", 10, HEX),
        "project": fake("proj_", 24),
        "organization": fake("org-", 24),
        "item": fake("msg_", 48, HEX),
        "reasoning": fake("rs_", 48, HEX),
    },
    "anthropic ids": {"id": fake("msg_01", 22), "tool": fake("toolu_01", 22), "request": fake("req_011", 21)},
    "address": {"token": "0x" + fake("", 40, HEX)},
    "image": {"url": "data:image/png;base64," + base64.b64encode(random.Random(1).randbytes(4000)).decode()},
    "e-mail": {"to": "ada.lovelace@example.com"},
    "prose about keys": {
        "content": "Set OPENAI_API_KEY to your key; it starts with sk-proj- or sk-... Never commit an API key! "
        "Use `api_key=os.environ['OPENAI_API_KEY']`, a Bearer token, basic authentication, password: required."
    },
    "documented placeholders": {
        "content": "export OPENAI_API_KEY=sk-your-api-key-here or sk-ant-api03-xxxxxxxxxxxxxxxxxxxx"
        ", ghp_xxxxxxxxxxxxxxxxxxxxxxxx"
        " postgres://user:password@localhost/db and https://api.example.com/?api_key=YOUR_API_KEY"
    },
    "code": {
        "content": "token = tokenizer.convert_tokens_to_ids(text)\nsecret = load_secret(name)\nkey: str = row['key']"
    },
    "css": {"content": '<div class="sk-fading-circle-container sk-cube-grid-loading"></div>'},
    "model": {"model": "gpt-4o-mini-2024-07-18", "system_fingerprint": "fp_50cad350e4"},
    "cache keys": {"cache_key": fake("", 40), "prompt_cache_key": fake("", 40), "idempotency_key": fake("", 40)},
    "key terms": {"keywords": "monkey, turkey", "tokenizer": "cl100k_base_0123456789", "author": "token_ring_01234567"},
    "timestamps": {"at": "2026-06-17T10:20:30.123456+00:00"},
}


@pytest.mark.parametrize("value", NO_SECRETS.values(), ids=NO_SECRETS.keys())
def test_what_is_no_secret_stays(value: JSON) -> None:
    subject = redactor(
        environ={"PATH": "/usr/bin", "HOME": "/root", "MAX_TOKENS": "4096", "GPG_KEY": fake("", 40, HEX)}
    )
    assert subject.value(value) is value
    text = json.dumps(value)
    assert subject.text(text) is text
    assert subject.scan(text) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1/chat/completions",
        "https://h.example/search?q=london&key=city&token=USDC&page_token=abcdefgh12345678ijkl&code=USD&max_tokens=5",
        "https://h.example/files/550e8400-e29b-41d4-a716-446655440000?sha=da39a3ee5e6b4b0d3255bfef95601890afd80709#top",
        "http://[::1]:8080/a?b",
        "relative/path?x=1",
    ],
)
def test_plain_url_stays(url: str) -> None:
    assert redact_url(redactor(), url) is url


def test_auth_headers_keep_their_scheme() -> None:
    headers = (
        ("Authorization", f"Bearer {OPAQUE}"),
        ("X-Api-Key", "short"),
        ("x-goog-api-key", "dummy"),
        ("X-Custom-Token", OPAQUE),
        ("api-key", ""),
        ("Content-Type", "application/json"),
        ("Idempotency-Key", fake("stainless-python-retry-", 32)),
    )
    assert redact_headers(redactor(), headers) == (
        ("Authorization", "Bearer REDACTED0001"),
        ("X-Api-Key", "REDACTED0002"),
        ("x-goog-api-key", "REDACTED0003"),
        ("X-Custom-Token", "REDACTED0001"),
        *headers[4:],
    )


def test_cookie_names_and_attributes_stay() -> None:
    headers = (
        ("Cookie", "theme=dark; session=abc"),
        ("Set-Cookie", "sid=xyz; Path=/; Expires=Wed, 09 Jun 2027 10:18:14 GMT"),
    )
    expected = (
        ("Cookie", "theme=REDACTED0001; session=REDACTED0002"),
        ("Set-Cookie", "sid=REDACTED0003; Path=/; Expires=Wed, 09 Jun 2027 10:18:14 GMT"),
    )
    assert redact_headers(redactor(), headers) == expected
    assert redactor().value({"set-cookie": headers[1][1]}) == {"set-cookie": expected[1][1].replace("3;", "1;")}


def test_several_cookies_that_a_library_joined_all_go() -> None:
    joined = "sid=xyzabc; Expires=Wed, 09 Jun 2027 10:18:14 GMT, visit=first; HttpOnly,theme=dark"
    expected = joined.replace("xyzabc", "REDACTED0001").replace("first", "REDACTED0002").replace("dark", "REDACTED0003")
    assert redact_headers(redactor(), (("Set-Cookie", joined),)) == (("Set-Cookie", expected),)
    assert redactor().value({"headers": {"Set-Cookie": joined}}) == {"headers": {"Set-Cookie": expected}}


def test_cookie_without_a_name_and_a_session_in_a_header_of_its_own_go() -> None:
    headers = (
        ("Cookie", OPAQUE),
        ("Set-Cookie", f"{OPAQUE}; HttpOnly"),
        ("X-Session-Id", fake("", 30)),
        ("Mcp-Session-Id", fake("mcp-session-", 20)),
    )
    assert redact_headers(redactor(), headers) == (
        ("Cookie", "REDACTED0001"),
        ("Set-Cookie", "REDACTED0001; HttpOnly"),
        ("X-Session-Id", "REDACTED0002"),
        headers[3],
    )


def test_cookies_in_text_go_and_keep_their_names() -> None:
    text = f"GET / HTTP/1.1\r\nCookie: theme=dark; visit={OPAQUE}\r\n\r\nSet-Cookie: visit={OPAQUE}; Path=/"
    assert redactor().text(text) == text.replace(OPAQUE, "REDACTED0001")


def test_private_parts_of_a_key_in_json_go() -> None:
    public = {"kty": "RSA", "kid": "2026-06", "n": fake("", 342), "e": "AQAB"}
    assert redactor().value(public) is public
    assert redactor().value({**public, "d": OPAQUE, "p": "short"}) == {
        **public,
        "d": "REDACTED0001",
        "p": "REDACTED0002",
    }
    assert redactor().value({"kty": "oct", "k": fake("", 43)}) == {"kty": "oct", "k": "REDACTED0001"}


def test_signed_request_keeps_what_is_no_secret() -> None:
    value = f"AWS4-HMAC-SHA256 Credential={FORMATS['aws-key-id']}/20260617/us-east-1/bedrock/aws4_request, "
    value += f"SignedHeaders=host;x-amz-date, Signature={fake('', 64, HEX)}"
    ((_, redacted),) = redact_headers(redactor(), (("Authorization", value),))
    assert redacted == (
        "AWS4-HMAC-SHA256 Credential=REDACTED0001/20260617/us-east-1/bedrock/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=REDACTED0002"
    )


@pytest.mark.parametrize("key", ["AKIAEXAMPLE1234567890", "REDACTED0001", "k9Xq2Lm8Zr7Tn3Wb6Yc1", "test"])
def test_a_signed_request_is_redacted_once_and_for_all(key: str) -> None:
    """The stored form is searched once more as part of the whole recording, the asked form is not."""
    value = f"AWS4-HMAC-SHA256 Credential={key}/20260617/us-east-1/bedrock/aws4_request, Signature=ab12"
    redact = redactor()
    once = redact.request({"url": "https://h/", "method": "GET", "headers": {"Authorization": value}})
    assert redact.value(once) == once
    assert once["headers"]["Authorization"].count("/20260617/us-east-1/bedrock/aws4_request") == 1


def test_presigned_url_keeps_what_is_no_secret() -> None:
    credential = quote(f"{FORMATS['aws-key-id']}/20260617/us-east-1/s3/aws4_request", safe="")
    url = f"https://b.s3.amazonaws.com/k?X-Amz-Credential={credential}&X-Amz-Date=1&X-Amz-Signature={fake('', 64, HEX)}"
    assert redact_url(redactor(), url) == (
        "https://b.s3.amazonaws.com/k?X-Amz-Credential=REDACTED0001%2F20260617%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=1&X-Amz-Signature=REDACTED0002"
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h/?api_key=x&a=1", "https://h/?api_key=REDACTED0001&a=1"),
        (f"https://h/?key={FORMATS['google-key']}", "https://h/?key=REDACTED0001"),
        (f"https://h/?sv=1&sig={quote(fake('', 43) + '=')}", "https://h/?sv=1&sig=REDACTED0001"),
        ("http://127.0.0.1:1/v1/g:generateContent?key=x", "http://127.0.0.1:1/v1/g:generateContent?key=REDACTED0001"),
        ("https://maps.googleapis.com/maps/api?key=x&q=y", "https://maps.googleapis.com/maps/api?key=REDACTED0001&q=y"),
        ("https://h/cb?code=short&state=abc", "https://h/cb?code=REDACTED0001&state=abc"),
        ("https://h/#access_token=abc&x=1", "https://h/#access_token=REDACTED0001&x=1"),
        ("postgres://u:p%40ss@h/db", "postgres://u:REDACTED0001@h/db"),
        (f"https://{FORMATS['github-classic']}@github.com/a", "https://REDACTED0001@github.com/a"),
        (f"https://h/?{FORMATS['github-classic']}=1", "https://h/?REDACTED0001=1"),
        ("https://h/a%20b?x=%7B%7D&password=a", "https://h/a%20b?x=%7B%7D&password=REDACTED0001"),
        (f"https://h.example/?q=Bearer+{OPAQUE}", "https://h.example/?q=Bearer%20REDACTED0001"),
    ],
)
def test_secret_in_a_url_goes(url: str, expected: str) -> None:
    assert redact_url(redactor(), url) == expected
    assert redact_url(redactor(), expected) is expected
    assert urlsplit(expected).hostname


def test_credential_of_a_header_is_redacted_everywhere_after() -> None:
    subject = redactor()
    basic = base64.b64encode(f"ada:{OPAQUE}".encode()).decode()
    redact_headers(subject, (("Authorization", f"Basic {basic}"),))
    forms = [
        OPAQUE,
        quote(OPAQUE),
        base64.b64encode(OPAQUE.encode()).decode(),
        OPAQUE.encode().hex(),
        f"ada:{OPAQUE}",
        basic,
    ]
    for form in forms:
        assert form not in subject.text(f"echo {form} end")
        assert subject.scan(f"a\nb {form}")


@pytest.mark.parametrize("start", ["x^2 + ", "x\x01"])
def test_text_in_base64_that_begins_like_compressed_data_is_searched(start: str) -> None:
    encoded = base64.b64encode(f"{start} {FORMATS['github-classic']}".encode()).decode()
    assert FORMATS["github-classic"].encode() not in base64.b64decode(redactor().text(encoded))


def test_environment_secret_is_redacted_by_value() -> None:
    environ = {
        "MY_SERVICE_KEY": "s3rvice/with+odd=chars",
        "DATABASE_URL": "postgres://app:pa55w0rd-x@db/app",
        "LOG_LEVEL": "s3rvice-like-value",
        "SHORT_TOKEN": "abc1234",
        "USE_TOKEN": "true",
        "SECRET_PATH": "/run/secrets/token",
        "AUTH_TOKEN": "disabled",
        "GOOGLE_CREDENTIALS": json.dumps(
            {"private_key": PEM, "client_email": "a@b.example", "type": "service_account"}
        ),
    }
    subject = redactor(environ=environ)
    text = "s3rvice/with+odd=chars pa55w0rd-x s3rvice-like-value abc1234 true /run/secrets/token disabled a@b.example"
    assert subject.text(text) == (
        "REDACTED0001 REDACTED0002 s3rvice-like-value abc1234 true /run/secrets/token disabled a@b.example"
    )
    assert PEM_BODY.splitlines()[1] not in subject.text("    " + PEM_BODY.replace("\n", "\n    "))


def test_same_secret_has_one_placeholder_and_two_have_two() -> None:
    subject = redactor()
    one, two = FORMATS["github-classic"], FORMATS["openai"]
    assert subject.value([one, {"x": f"{two} {one}"}, {"token": one}]) == [
        "REDACTED0001",
        {"x": "REDACTED0002 REDACTED0001"},
        {"token": "REDACTED0001"},
    ]


def test_numbering_continues_after_the_existing_cassette() -> None:
    subject = Redactor(RedactionRules(), taken=["a: REDACTED0003", "REDACTED0017 REDACTED0002"])
    assert subject.text(FORMATS["openai"]) == "REDACTED0018"


def test_token_stand_in_still_decodes_its_times() -> None:
    redacted = redactor().value({"access_token": JWT})["access_token"]
    head, claims, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in redacted.split("."))
    assert json.loads(head) == {"alg": "HS256", "typ": "JWT"}
    assert json.loads(claims) == {"exp": 1781000000}
    assert signature
    assert canonical_secrets(f'"a {redacted}"') == '"a REDACTED"'


@pytest.mark.parametrize("name", ["getUserByIdFromDatabase", "AccessTokenOfTheShop", "getV2TokenFromVault"])
def test_name_of_code_under_a_secrets_name_stays_elsewhere(name: str) -> None:
    subject = redactor()
    subject.value({"access_token": name})
    assert subject.text(f"call {name}() first") == f"call {name}() first"


@pytest.mark.parametrize("seed", ["QKXVZJMWPLTRGHBN", "QKXVZJMWPLTRGHB7", "QKXVZJMWPLTRGHBNDSFYQKXVZJMWPLTR"])
@pytest.mark.parametrize("name", ["totp_secret", "access_token"])
def test_seed_of_one_time_passwords_is_a_secret_wherever_it_is_passed_on(name: str, seed: str) -> None:
    subject = redactor()
    subject.value({name: seed})
    assert seed not in subject.text(f"oathtool {seed}")


@pytest.mark.parametrize("said", [{"sub": "user-1"}, {"sub": "user-1", "exp": 1781000000}], ids=["no times", "times"])
def test_token_has_one_placeholder_whatever_it_says(said: dict[str, str | int]) -> None:
    token = f"{segment({'alg': 'HS256'})}.{segment(said)}.{fake('', 40)}"
    subject = redactor()
    redacted = subject.value({"access_token": token})["access_token"]
    assert redacted.endswith(".REDACTED0001")
    assert subject.value(["see", token, {"id_token": token}]) == ["see", redacted, {"id_token": redacted}]
    assert subject.value({"access_token": redacted}) == {"access_token": redacted}
    assert canonical_secrets(f'"a {redacted}"') == '"a REDACTED"'


def test_key_block_keeps_its_first_and_last_line() -> None:
    assert redactor().text(PEM) == "-----BEGIN RSA PRIVATE KEY-----\nREDACTED0001\n-----END RSA PRIVATE KEY-----"


_HEADED = "BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,AB12\n\n"


@pytest.mark.parametrize("escape", ["\n", "\\n", "\r\n"], ids=["lines", "escaped", "crlf"])
@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "cut off"])
def test_key_block_with_headers_goes(is_whole: bool, escape: str) -> None:
    block = PEM.replace("BEGIN RSA PRIVATE KEY-----\n", _HEADED)
    text = block if is_whole else block.partition("\n-----END")[0]
    redacted = redactor().text(f"see {text.replace(chr(10), escape)}")
    assert redacted.startswith("see -----BEGIN RSA PRIVATE KEY-----")
    assert not any(line in redacted for line in PEM_BODY.splitlines())


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_known_secret_goes_from_bytes_that_are_no_text(encoding: str) -> None:
    secret = "Zk7qP-wé3xYü9mTv2ñ"
    subject = redactor(environ={"SERVICE_PASSWORD": secret})
    assert subject.value(b"\xff\x00" + secret.encode(encoding) + b"\xfe") == b"\xff\x00REDACTED0001\xfe"


def test_field_of_a_form_with_a_binary_file_goes_by_its_name() -> None:
    def form(password: bytes) -> bytes:
        fields = {b"password": password, b"f": b"\xff\x00 hunter \xfe", b"user": b"eve"}
        parts = (b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % each for each in fields.items())
        return b"".join(parts) + b"--b--\r\n"

    stored = {"body_b64": base64.b64encode(form(b"hunter2hunter2hunter2")).decode()}
    redacted = redact_body(redactor(), stored, "multipart/form-data; boundary=b")
    assert base64.b64decode(redacted["body_b64"]) == form(b"REDACTED0000")


def test_known_secret_goes_in_json_that_is_safe_for_html() -> None:
    subject = redactor(environ={"SERVICE_PASSWORD": "wJbl&CY<9z>Qr3MI"})
    assert subject.text(r"is wJbl\u0026CY\u003c9z\u003eQr3MI.") == "is REDACTED0001."


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_known_secret_goes_from_bytes_with_two_for_each_character(encoding: str) -> None:
    subject = redactor(environ={"SERVICE_PASSWORD": "wJblCY9zQr3MI"})
    raw = "is wJblCY9zQr3MI.".encode(encoding)
    assert subject.value({"blob": raw})["blob"].decode(encoding) == "is REDACTED0000."


def test_nested_json_text_changes_only_where_it_must() -> None:
    text = '{"n": 1.50,  "api_key":"%s", "u":"\\u00e9\\/x", "big": 12345678901234567890123, "a":[]}'.replace(
        "%s", OPAQUE
    )
    redacted = redactor().value({"arguments": text})["arguments"]
    assert redacted == text.replace(OPAQUE, "REDACTED0001")


def test_nested_json_text_with_a_key_twice_stays_valid() -> None:
    text = f'{{"api_key": "{OPAQUE}", "api_key": "{OPAQUE[::-1]}"}}'
    redacted = redactor().text(text)
    assert json.loads(redacted)
    assert OPAQUE not in redacted


@pytest.mark.parametrize("safe", ["", "/"])
def test_password_in_a_quoted_url_goes(safe: str) -> None:
    text = f'filename="{quote("postgres://app:pa55w0rd-x@db/app", safe=safe)}.txt"'
    redacted = redactor().text(text)
    assert redacted == text.replace("pa55w0rd-x", "REDACTED0001")
    assert redactor().text(redacted) is redacted


def test_quoted_key_block_goes_once() -> None:
    url = f"https://h/?api_key={quote(PEM, safe='')}&a=1"
    redacted = redact_url(redactor(), url)
    assert redacted == url.replace(quote(PEM_BODY, safe=""), "REDACTED0001")
    assert redactor().value({"url": redacted}) == {"url": redacted}


@pytest.mark.parametrize("outer", [lambda text: quote(text, safe=""), quote, lambda text: repr(text)[1:-1]])
@pytest.mark.parametrize("inner", [lambda text: json.dumps(text)[1:-1], lambda text: quote(text, safe="")])
def test_known_secret_goes_when_it_is_spelled_inside_of_a_spelling(
    outer: Callable[[str], str], inner: Callable[[str], str]
) -> None:
    subject = redactor(environ={"AUTH_TOKEN": f'{OPAQUE}/+"=\\{OPAQUE[::-1]}'})
    spelled = outer(inner(f'{OPAQUE}/+"=\\{OPAQUE[::-1]}'))
    assert OPAQUE not in subject.text(f"is {spelled}!")


@pytest.mark.parametrize("stored", ["$stream", "after", "events"])
def test_secret_split_over_the_items_of_a_generator_leaves_no_piece(stored: str) -> None:
    items: JSON = cut(f"Your key: {FORMATS['openai-project']}. Bye", 7)
    redacted = redactor().value({stored: {"items": items} if stored == "$stream" else items})[stored]
    kept = redacted["items"] if stored == "$stream" else redacted
    assert "".join(kept) == "Your key: REDACTED0001. Bye"
    assert len(kept) == len(items)


@pytest.mark.parametrize("size", [60, 150, 250])
def test_key_block_split_over_a_stream_is_no_finding_in_what_is_written(size: int) -> None:
    subject = redactor()
    events = redact_body(subject, {"events": chat_chunks(*cut(f"Your key:\n{PEM}\nKeep it.", size))})
    assert not any(line in str(events) for line in PEM_BODY.splitlines())
    for written in (json.dumps(events), serializer.dump({"events": events["events"]})):
        assert subject.scan(written) == []
    assert subject.scan(json.dumps(events).replace("REDACTED0001", PEM_BODY))


def test_compressed_body_is_searched() -> None:
    def body(key: str) -> JSON:
        return {"body_b64": base64.b64encode(gzip.compress(b"{'key': '%s'}" % key.encode())).decode()}

    redacted = redact_body(redactor(), body(FORMATS["openai"]))["body_b64"]
    assert gzip.decompress(base64.b64decode(redacted)) == b"{'key': 'REDACTED0000'}"
    assert redactor().value({"request": body(FORMATS["openai"])}) == {"request": {"body_b64": redacted}}
    for untouched in (body("none"), {"body_b64": base64.b64encode(b"\x1f\x8b\x08 no gzip").decode()}):
        assert redact_body(redactor(), untouched) is untouched


@pytest.mark.parametrize("wbits", [zlib.MAX_WBITS, -zlib.MAX_WBITS], ids=["zlib", "raw"])
def test_deflated_body_is_searched(wbits: int) -> None:
    def body(text: str) -> JSON:
        writer = zlib.compressobj(wbits=wbits)
        return {"body_b64": base64.b64encode(writer.compress(text.encode()) + writer.flush()).decode()}

    redacted = redact_body(redactor(), body(f"{{'key': '{FORMATS['openai']}'}}"))["body_b64"]
    assert zlib.decompress(base64.b64decode(redacted), wbits) == b"{'key': 'REDACTED0000'}"
    untouched = body("{'key': 'none'}")
    assert redact_body(redactor(), untouched) is untouched


ENCODINGS: dict[str, Callable[[bytes], str]] = {
    "base64": lambda raw: base64.b64encode(raw).decode(),
    "without padding": lambda raw: base64.b64encode(raw).decode().rstrip("="),
    "of URLs": lambda raw: base64.urlsafe_b64encode(raw).decode(),
    "in lines": lambda raw: base64.encodebytes(raw).decode(),
    "a data URL": lambda raw: "data:application/json;base64," + base64.b64encode(raw).decode(),
    "compressed": lambda raw: base64.b64encode(gzip.compress(raw, mtime=0)).decode(),
    "deflated": lambda raw: base64.b64encode(zlib.compress(raw)).decode(),
    "twice": lambda raw: base64.b64encode(base64.b64encode(raw)).decode(),
}


def _decoded(text: str) -> bytes:
    """Return what base64 text of one of ENCODINGS says in the end."""
    while True:
        encoded = text.rpartition(",")[2].strip()
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_" if {*encoded} & {*"-_"} else None)
        raw = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
        raw = zlib.decompress(raw) if raw.startswith(b"\x78") else raw
        if raw.startswith(b"{"):
            return raw
        text = raw.decode()


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize(
    "document",
    [{"tool": "login", "password": "hunter2hunter2hunter2"}, {"key": FORMATS["openai"]}, {"é~?>": FORMATS["jwt"]}],
    ids=["by name", "by format", "not ASCII"],
)
def test_text_in_base64_is_searched(encode: Callable[[bytes], str], document: JSON) -> None:
    text = encode(json.dumps(document, ensure_ascii=False).encode())
    redacted = redactor().value({"data": {"x": text}})["data"]["x"]
    kept = json.loads(_decoded(redacted))
    assert kept.keys() == document.keys()
    assert "REDACTED0000" in str(kept) or "IHs" in str(kept)
    assert not {*map(str, document.values())} & {*map(str, kept.values())} - {"login"}
    assert redactor().value(redacted) == redacted
    for untouched in (encode(b'{"name": "Ada", "password": null}'), encode(random.Random(2).randbytes(60)), "a" * 40):
        assert redactor().value(untouched) is untouched


@pytest.mark.parametrize(
    "text",
    [
        "<login><password>{}</password></login>",
        '<wsse:Password Type="http://docs.oasis-open.org/wss#PasswordText">{}</wsse:Password>',
        "<item id='1'><clientSecret\n  xml:lang='en'>{}</clientSecret></item>",
        "<xml><password><![CDATA[{}]]></password></xml>",
        "Server=db;Uid=ada;Pwd={};Encrypt=yes",
    ],
)
def test_password_in_markup_and_connection_strings_goes(text: str) -> None:
    assert redactor().text(text.format("hunter2!x9Q")) == text.format("REDACTED0001")
    for harmless in (text.format("required"), "<label for=password class='a'>Password1:</label>"):
        assert redactor().text(harmless) is harmless


def test_bytes_do_not_tell_secrets_apart() -> None:
    subject = redactor()
    one, two = (
        redact_body(subject, {"body_b64": base64.b64encode(b"\xff" + FORMATS[name].encode()).decode()})["body_b64"]
        for name in ("github-classic", "github-oauth")
    )
    assert base64.b64decode(one) == base64.b64decode(two) == b"\xffREDACTED0000"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20])
def test_secret_split_over_a_stream_leaves_no_piece(size: int) -> None:
    secret = FORMATS["openai-project"]
    events = chat_chunks(*cut(f"Your key: {secret}. Bye", size))
    redacted = redact_body(redactor(), {"events": events})["events"]
    pieces = [event["data"]["choices"][0]["delta"]["content"] for event in redacted]
    assert "".join(pieces) == "Your key: REDACTED0001. Bye"
    assert [len(event["data"]) for event in redacted] == [len(event["data"]) for event in events]


def test_streamed_tool_arguments_are_read_as_one_document() -> None:
    arguments = json.dumps({"api_key": OPAQUE, "city": "Paris"})
    events = [
        {"data": {"choices": [{"delta": {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}}]}}
        for pieces in zip(
            cut(arguments, 9), cut('{"city": "London and much more of it, padded to equal length"}', 9), strict=False
        )
        for index, piece in enumerate(pieces)
    ]
    redacted = redact_body(redactor(), {"events": events})["events"]
    joined = ["", ""]
    for event in redacted:
        (call,) = event["data"]["choices"][0]["delta"]["tool_calls"]
        joined[call["index"]] += call["function"]["arguments"]
    assert OPAQUE[:9] not in joined[0]
    assert "REDACTED0001" in joined[0]
    assert joined[1].startswith('{"city": "London')


def test_logprobs_do_not_spell_the_secret() -> None:
    secret = FORMATS["openai"]
    tokens = [{"token": piece, "logprob": -0.1, "bytes": list(piece.encode())} for piece in cut(secret, 4)]
    redacted = redactor().value({"logprobs": {"content": tokens}})["logprobs"]["content"]
    assert "".join(token["token"] for token in redacted) == "REDACTED0001"
    assert all(token["bytes"] is None for token in redacted)


def test_multipart_field_with_a_secrets_name_goes() -> None:
    text = f'--b\r\nContent-Disposition: form-data; name="api_key"\r\n\r\n{OPAQUE}\r\n--b--\r\n'
    assert redact_body(redactor(), {"text": text}, "multipart/form-data; boundary=b") == {
        "text": text.replace(OPAQUE, "REDACTED0001")
    }


def test_grant_in_a_form_goes() -> None:
    form = {"grant_type": "password", "password": "abc", "code": "x", "scope": "a b"}
    assert redact_body(redactor(), {"form": form}) == {
        "form": {"grant_type": "password", "password": "REDACTED0001", "code": "REDACTED0002", "scope": "a b"}
    }


def test_aws_secret_beside_its_identifier_goes() -> None:
    secret = fake("aB3/", 36)
    assert secret not in redactor().text(f"{FORMATS['aws-key-id']},{secret}")
    assert secret not in redactor().text(f"<SecretAccessKey>{secret}</SecretAccessKey>")


def test_user_info_webhooks_and_bot_urls_in_prose_go() -> None:
    hook, bot, teams = fake("", 24), "123456789:" + fake("AA", 33), "0b1c2d3e4f5a6978" * 2
    texts = {
        f"amqp://app:{OPAQUE}@mq/": OPAQUE,
        f"see https://hooks.slack.com/services/T01/B02/{hook}": hook,
        f"https://a.webhook.office.com/webhookb2/1@2/IncomingWebhook/{teams}/3b2c3d4e": teams,
        f"https://api.telegram.org/bot{bot}/getMe": bot,
        f"the token is auth_tokens/{teams}": teams,
        f"get https://h.example/a?x=1&access_token={OPAQUE} now": OPAQUE,
        f"curl -H 'Authorization: Bearer {OPAQUE}'": OPAQUE,
        "curl -H 'Authorization: Basic dXNlcjpwYXNz'": "dXNlcjpwYXNz",
        f"AccountKey={fake('', 86)}==;EndpointSuffix=x": fake("", 86),
    }
    for text, secret in texts.items():
        assert secret not in redactor().text(text)


COMMANDS = {
    "curl -u me:{} https://h.example": "Tr0ub4dor",
    "curl -sSu me:{} https://h.example": "Tr0ub4dor",
    "curl -u'me:{}' https://h.example": "hunter2",
    "curl --user 'me:{}' https://h.example": "correct.horse",
    "curl --proxy-user=me:{} https://h.example": "hunter2",
    "cd /tmp && curl \\\n  -X POST \\\n  -u me:{} https://h.example": "hunter2",
    "curl -H 'Authorization: token {}' https://h.example": "abc123def456",
    'curl --header "X-Api-Key: {}" https://h.example': "abc123def456",
    "http -a me:{} h.example": "hunter2",
    "mysql -u root -p{} shop": "hunter2",
    "mysqldump -p'{}' shop": "hunter2",
    "sshpass -p {} ssh me@h.example": "hunter2",
    "redis-cli -h h.example -a {} PING": "hunter2",
    "docker login -u me -p {} registry.example": "hunter2",
    "deploy --token {} --force": "Tr0ub4dor",
    "deploy --api-key={}": "Tr0ub4dor",
    "deploy --password '{}'": "Tr0ub4dor",
    "deploy --client-secret {}": "abcdefghijklmnopqr",
    'deploy --access-token "{}"': "Tr0ub4dor",
}


@pytest.mark.parametrize("form", ["text", "in JSON", "in JSON in JSON"])
@pytest.mark.parametrize(("command", "secret"), COMMANDS.items(), ids=COMMANDS)
def test_credential_on_a_command_line_goes(command: str, secret: str, form: str) -> None:
    text = command.replace("{}", secret)
    value: JSON = text
    for _ in range(form.count("JSON")):
        value = json.dumps({"command": value})
    redacted = redactor().value({"arguments": value})["arguments"]
    assert secret not in redacted
    for _ in range(form.count("JSON")):
        redacted = json.loads(redacted)["command"]
    assert redacted == command.replace("{}", "REDACTED0001")


@given(
    st.lists(
        st.sampled_from(
            [
                *"\n '\"\\;|-=:x",
                "curl ",
                "mysql ",
                "http ",
                "docker login ",
                "-p",
                "-u",
                "-a",
                "-H",
                "--token ",
                "a:hunter2",
            ]
        )
    )
)
@example(["curl ", "-u", " ", "a:hunter2"])
def test_a_text_without_a_sign_has_no_credential_on_a_command_line(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert commands.is_marked(text) or not list(commands.find_options(text))


def test_a_long_text_that_is_clean_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "some prose. " * 5_000
    first = redactor()
    assert first.text(text) is text
    monkeypatch.setattr("pytest_agenttape.redaction.tree._is_clean", None)
    assert first.value({"said": text}) == {"said": text}


def test_credential_among_arguments_goes() -> None:
    arguments = ["deploy", "--region", "eu-west-1", "--api-key", "Tr0ub4dor", "--token-file", "Tr0ub4dor/x", "--force"]
    assert redactor().value({"args": arguments}) == {"args": [*arguments[:4], "REDACTED0001", *arguments[5:]]}
    plain = ["deploy", "--api-key", "--force"]
    assert redactor().value(plain) is plain


@pytest.mark.parametrize(
    "text",
    [
        "docker run -u 1000:1000 image",
        "git push -u origin main:main",
        "curl -u $USER:$PASSWORD https://h.example",
        "curl -u user:password https://h.example",
        "curl -u <user>:<password> https://h.example",
        "curl -H 'Authorization: Bearer $TOKEN' -H 'Accept: application/json' https://h.example",
        "curl -H 'Content-Type: application/json; charset=utf-8' https://h.example",
        "curl https://h.example; docker run -u me:group1 image",
        "curl is a program. Run it with -v and time 12:30 for more",
        "use curl to see why -u me",
        "run it with --token your-token or --password secret",
        "tool --token-budget 100000 --max-tokens 4096 --key-file /run/secrets/key --passwordless Tr0ub4dor",
        "tool --password-file /run/secrets/password --secret-name shop/production/db1",
        "tool --api-key YOUR_API_KEY_HERE --password --token ${TOKEN}",
        "mkdir -p dir1/dir2 and mysql -p shop",
        "ssh -p 2222 me@h.example",
        "https://h.example -a me",
        "libcurl is older than pymysql is, and .http files hold -u me:Tr0ub4dor",
    ],
)
def test_option_that_holds_no_credential_stays(text: str) -> None:
    assert redactor().value({"command": text}) == {"command": text}


def test_denied_name_goes_whatever_its_value() -> None:
    subject = redactor(denylist=("ssn", "X-Tenant"))
    assert subject.value({"SSN": "1", "s_s_n": 123, "ssn": None, "nested": {"ssn": ["a b", {"x": "y"}]}}) == {
        "SSN": "REDACTED0001",
        "s_s_n": "REDACTED0002",
        "ssn": None,
        "nested": {"ssn": ["REDACTED0003", {"x": "REDACTED0004"}]},
    }
    assert redact_headers(subject, (("x-tenant", "acme"),)) == (("x-tenant", "REDACTED0005"),)
    assert redact_url(subject, "https://h/?ssn=5") == "https://h/?ssn=REDACTED0006"


def test_user_pattern_goes_also_in_a_long_text() -> None:
    subject = redactor(regexes=(r"emp-\d{4,6}",))
    assert subject.text("x emp-12345") == "x REDACTED0001"
    text = "a" * 9_000 + "emp-12345" + "b" * 9_000
    assert subject.text(text) == text.replace("emp-12345", "REDACTED0001")


def test_user_pattern_that_is_too_slow_ends_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_agenttape.redaction.user_patterns._BUDGET_SECONDS", 0.01)
    with pytest.raises(ConfigError, match="took more than"):
        redactor(regexes=(r"\w+[@#]corp",)).text("a" * 40_000 + "corp")


def test_email_goes_only_when_asked() -> None:
    assert redactor(redact_emails=True).text("to ada.l@example.com!") == "to REDACTED0001!"


def test_switched_off_redactor_changes_nothing() -> None:
    request = {"url": f"https://u:{OPAQUE}@h/", "headers": {"Authorization": f"Bearer {OPAQUE}"}}
    assert redactor(enabled=False).request(request) is request
    assert redactor(enabled=False).text(FORMATS["openai"]) == FORMATS["openai"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regexes": ("(",)}, r"redact\.regexes: '\(' is not a valid regular expression"),
        ({"regexes": ("a*",)}, "matches the empty text"),
        ({"regexes": (r"(?=key)\b",)}, "matches no character"),
        ({"regexes": ("(a+)+$",)}, "can take very long"),
        ({"regexes": (r"(\w+\s?)*x",)}, "can take very long"),
        ({"regexes": ("(a|ab|b)*c",)}, "can take very long"),
        ({"regexes": ("x.*y.*z.*w",)}, "can take very long"),
        ({"regexes": ("(a?){30}b",)}, "can take very long"),
        ({"denylist": ("--",)}, r"redact\.denylist"),
        ({"placeholder": ""}, r"redact\.placeholder"),
        ({"placeholder": "a\nb"}, r"redact\.placeholder"),
    ],
)
def test_bad_rule_is_a_configuration_error(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RedactionRules(**options)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    "pattern",
    [
        r"emp-\d+",
        r"\b\d{3}-\d{2}-\d{4}\b",
        r"\w+@corp\.example",
        r"(?i)tenant[_-]id\s*=\s*\w+",
        r"(?:foo|bar)-[A-Z]{2}\d+",
        r"cust_[a-z0-9]+-[a-z0-9]+",
        r"(?:[a-z]++\.)+corp",
        r"[A-Z]{2}\d{6}[A-Z]?",
        r"\d+-\d+-\d+-\d+",
    ],
)
def test_ordinary_user_pattern_is_accepted(pattern: str) -> None:
    assert RedactionRules(regexes=(pattern,)).regexes == (pattern,)


def test_merged_rules_hold_what_each_demands() -> None:
    policy = RedactionRules(denylist=("ssn",), regexes=("emp-[0-9]{4}",), redact_emails=True)
    own = RedactionRules(denylist=("ssn", "x"), enabled=False, placeholder="HIDDEN")
    assert own.merged(policy) == RedactionRules(("ssn", "x"), ("emp-[0-9]{4}",), True, "HIDDEN", True)


@pytest.mark.parametrize(
    ("placeholder", "expected"),
    [
        ("[REDACTED]", "[REDACTED0001]"),
        ("****", "****0001"),
        ("<hidden>", "<hidden>"),
        ("***REDACTED***", "***REDACTED0001***"),
    ],
)
def test_placeholder_of_the_users_choice(placeholder: str, expected: str) -> None:
    subject = redactor(placeholder=placeholder)
    assert subject.value({"api_key": OPAQUE}) == {"api_key": expected}
    assert subject.value({"api_key": expected}) == {"api_key": expected}
    url = redact_url(subject, "https://u:p@h/?api_key=abc&x=1")
    assert redact_url(subject, url) is url
    assert dict(parse_qsl(urlsplit(url).query))["api_key"].startswith(expected[:4])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ('{"a": "Bearer REDACTED0001"}', '{"a": "Bearer REDACTED0042"}'),
        ("u=****0001", "u=****0009"),
        ("https://h/?k=%2A%2A%2A%2A0001", "https://h/?k=%2A%2A%2A%2A0002"),
    ],
)
def test_canonical_text_does_not_tell_secrets_apart(one: str, two: str) -> None:
    assert canonical_secrets(one) == canonical_secrets(two)
    assert canonical_secrets(canonical_secrets(one)) == canonical_secrets(one)


def test_canonical_text_without_placeholders_is_the_same_object() -> None:
    text = "nothing here"
    assert canonical_secrets(text) is text


def test_scan_names_the_line_and_never_the_secret() -> None:
    subject = redactor(environ={"A_TOKEN": OPAQUE})
    findings = subject.scan(f"a\nb: {OPAQUE}\nc\nd: {FORMATS['groq']}\n".encode())
    assert [(finding.kind, finding.line) for finding in findings] == [("known-value", 2), ("groq-key", 4)]
    assert OPAQUE not in repr(findings) + repr(subject)


def test_plain_words_in_an_auth_header_are_not_redacted_elsewhere() -> None:
    subject = redactor()
    redact_headers(subject, (("Authorization", "Bearer not-needed"), ("X-Api-Key", "anything")))
    text = "You can do anything; a key is not-needed here, honestly."
    assert subject.text(text) is text


def test_deep_nesting_is_refused_in_a_value_and_searched_as_text() -> None:
    text = "[" * 900 + f'"{FORMATS["openai"]}"' + "]" * 900
    assert FORMATS["openai"] not in redactor().text(text)
    assert FORMATS["openai"] not in redactor().value({"arguments": text})["arguments"]
    deep: JSON = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(RecordingRefusedError, match="nested too deeply"):
        redactor().value(deep)


def test_event_that_kept_its_wire_form_is_searched_by_name() -> None:
    raw = 'id: 1\nid: 2\ndata: {"password": "Tr0ub4dor&3x"}\n\n'
    expected = raw.replace("Tr0ub4dor&3x", "REDACTED0001")
    assert redact_body(redactor(), {"events": [{"raw": raw}]}) == {"events": [{"raw": expected}]}


def test_value_keeps_types_order_and_untouched_parts() -> None:
    kept = {"b": [1, 2.5, None, True]}
    value = {"z": kept, "api_key": OPAQUE, "a": ("x", OPAQUE)}
    redacted = redactor().value(value)
    assert list(redacted) == ["z", "api_key", "a"]
    assert redacted["z"] is kept
    assert redacted["a"] == ("x", "REDACTED0001")


# Secrets as people and machines make them, among them ones that every writer escapes.
SECRETS = st.one_of(
    st.text(st.sampled_from(ALNUM + "/+=-_"), min_size=8, max_size=40),
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=8, max_size=24),
).filter(lambda secret: "REDACT" not in secret and len(set(secret)) > 4)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(secret=SECRETS, before=st.text(max_size=6), after=st.text(max_size=6), tree=TREES)
@example(secret='a"b\\c/d1é', before="", after="", tree=None)
@example(secret="aaaa-bbbb", before="a", after="b", tree={"k": ["v"]})
@settings(max_examples=150, deadline=None)
def test_known_secret_survives_in_no_form(secret: str, before: str, after: str, tree: JSON) -> None:
    subject = redactor()
    subject.learn(secret)
    raw = (before + secret + after).encode()
    forms = [
        before + secret + after,
        json.dumps({"x": secret}),
        json.dumps({"x": json.dumps({"y": secret})}),
        quote(secret, safe=""),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        raw.hex(),
    ]
    value = {"tree": tree, "forms": forms, "bytes": raw, secret: 1}
    redacted = subject.value(value)
    out = json.dumps({**redacted, "bytes": redacted["bytes"].decode("latin-1")}, ensure_ascii=False)
    assert subject.scan(out) == []
    assert secret not in out
    body = redact_body(subject, {"events": chat_chunks(*cut(before + secret + after, 3))})
    assert secret not in written(body)


@given(tree=TREES)
@settings(max_examples=150, deadline=None)
def test_tree_without_secrets_is_the_same_object(tree: JSON) -> None:
    assert redactor().value(tree) is tree


@given(
    tree=st.recursive(
        st.sampled_from([*FORMATS.values(), OPAQUE, "plain", "Bearer " + OPAQUE, "https://u:p@h/?key=" + OPAQUE])
        | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["api_key", "x", "token", "authorization", "cookie"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
@example(tree={"x": [OPAQUE], "api_key": OPAQUE})
@settings(max_examples=150, deadline=None)
def test_redacting_twice_is_redacting_once(tree: JSON) -> None:
    subject = redactor()
    once = subject.value(tree)
    assert subject.value(once) is once
    assert redactor().value(once) is once
    assert subject.scan(json.dumps(once)) == []


@given(pieces=st.lists(st.text("ab", max_size=4), min_size=1, max_size=6), secret=st.text("ab", min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_spread_pieces_are_the_whole_again(pieces: list[str], secret: str) -> None:
    whole = "".join(pieces).replace(secret, "REDACTED0001")
    found = spread(pieces, whole, Placeholders(PLACEHOLDER).pattern)
    assert len(found) == len(pieces)
    assert "".join(found) == whole


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip", "deflate"])
def test_a_body_that_is_stored_as_it_came_is_searched_below_its_encoding(encoding: str, parts: int) -> None:
    if not bodies.can_encode(encoding) or (parts > 1 and encoding in ("br", "deflate")):
        pytest.skip("not of this machine, or of this format")
    text = json.dumps({"note": f"ask {FORMATS['github-classic']} again", "more": "again and again, " * 40}).encode()
    half = len(text) // parts
    packed = b"".join(bodies.encode_content([text[at : at + half]], encoding)[0] for at in range(0, len(text), half))
    stored = {"headers": {"content-encoding": encoding}, "body_b64": base64.b64encode(packed).decode()}
    clean = redactor().request({"method": "PUT", "url": "http://a.example/", **stored})
    plain = bodies.decode_content(base64.b64decode(clean["body_b64"]), encoding)
    assert plain == text.replace(FORMATS["github-classic"].encode(), b"REDACTED0000")
    assert redactor().request(clean) == clean
