"""Names that hold secrets: of headers, of query and form parameters, of body keys, of the environment."""

from __future__ import annotations

import re
from enum import IntEnum
from functools import lru_cache


class Rule(IntEnum):
    """What a name says about its value."""

    NONE = 0
    RANDOM = 1  # a secret when it looks random: the name also has other uses
    LOGIN = 2  # like RANDOM, and the second of two texts is a password
    LOOSE = 3  # a secret when it is secret-shaped, and no name made of words and numbers
    SHAPED = 4  # a secret when it is secret-shaped
    PASSWORD = 5  # like SHAPED, and digits alone are one as well
    CODE = 6  # like PASSWORD, but no person has chosen it
    PHRASE = 7  # like PASSWORD, and several words are one as well
    SEVERAL = 8  # like SHAPED, and a mapping under it holds secrets under names of any kind
    COOKIES = 9
    ALWAYS = 10


class HeaderRule(IntEnum):
    """What a header's value is."""

    PLAIN = 0
    CREDENTIAL = 1
    COOKIE = 2
    SET_COOKIE = 3
    LINK = 4


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_ALONE = frozenset("authorization bearer credential cred jwt sessionkey".split())
_ENDS = (  # also of a word that is written without separators, such as "adminpassword"
    "secret", "apikey", "accesskey", "secretkey", "privatekey", "signingkey", "masterkey", "subscriptionkey", "authkey",
    "accesstoken", "refreshtoken", "idtoken", "authtoken", "apitoken", "sessiontoken", "bearertoken", "securitytoken",
    "csrftoken", "xsrftoken",
)  # fmt: skip
_PASSWORD_ENDS = ("password", "passwd", "passcode", "pwd")
_PHRASES = frozenset({("pass", "phrase"), ("seed", "phrase"), ("recovery", "phrase")})
_CODES = frozenset("otp totp".split())
_LOOSE_PASSWORDS = frozenset("pass pw sid".split())  # which also mean other things: a pass over the data, a resource
_PASSWORD_OWNERS = frozenset(
    "db database user admin root app smtp imap mail email ftp sftp ssh ldap redis mysql postgres pg mongo rabbitmq mq"
    " proxy http auth login account service client web wifi".split()
)
_ALONE_SEVERAL = frozenset("passwords secrets apikeys credentials creds".split())
_KEY_KINDS = frozenset(
    "api secret access private signing encryption master subscription auth shared ssh license hmac webhook"
    " admin client service consumer function deploy".split()
)
_LOOSE_KEY_KINDS = frozenset(  # which also name things: a project "AT-17", an object "reports/2026.pdf"
    "account app application storage session project".split()
)
_TOKEN_KINDS = frozenset(
    "access refresh id auth session bearer api security bot oauth csrf xsrf personal private client service deploy"
    " runner user device push verification github gitlab slack hf discord telegram secret jwt app admin".split()
)
_LOGIN_KINDS = frozenset(("", "basic", "http", "proxy", "digest"))
_NO_SECRET_TOKENS = frozenset(
    "next page continuation sync resume start pagination cursor prev previous bos eos pad unk mask sep cls stop special"
    " image audio video text first last decoded idempotency cancellation watermark change delta skip scroll delimiter"
    " end begin end new output input prompt completion reasoning cached per".split()
)
_PAIRS = frozenset(
    {
        ("device", "code"),
        ("code", "verifier"),
        ("client", "assertion"),
        ("connection", "string"),
        ("secret", "string"),
        ("secret", "value"),
        ("secret", "text"),
        ("secret", "data"),
        ("password", "value"),
    }
)
_COOKIES = frozenset(("cookie", "cookies"))
# A content delivery network or a load balancer sets these to recognise the client; no agent asks for them.
COOKIE_OF_NETWORK = re.compile(
    r"(__cf_bm|_cfuvid|__cflb|cf_clearance|__cfruid|AWSALB(?:TG)?(?:CORS)?|ARRAffinity(?:SameSite)?|ak_bmsc"
    r"|(?:incap_ses|visid_incap|nlbi)_[^=;\s]{0,64})="
)

_PLAIN_HEADERS = frozenset(
    "idempotency-key x-idempotency-key sec-websocket-key sec-websocket-accept surrogate-key x-surrogate-key x-cache-key"
    " cache-key partition-key x-ms-documentdb-partitionkey routing-key x-routing-key x-rate-limit-key"
    " x-continuation-token x-next-token x-next-page-token x-page-token mcp-session-id".split()
)
_LINK_HEADERS = frozenset("location content-location referer refresh link operation-location".split())
_HEADER_ENDS = frozenset(
    "token secret password key apikey signature sig auth authorization authentication credential credentials"
    " jwt".split()
)
_SESSIONS = ("-session", "-session-id")
_PARAMETERS = frozenset("sig signature hmac key token auth appid code".split())
_MARKERS = (
    "key", "token", "secret", "pass", "pwd", "pw", "cred", "auth", "cookie", "jwt", "code", "connection", "assertion",
    "otp", "sid", "bearer", "phrase",
)  # fmt: skip

# What the name of a variable says in addition: there, a key or a token is nothing else.
_ENV_ENDS = frozenset("KEY KEYS TOKEN TOKENS PASS PW PAT AUTH DSN".split())
_ENV_INNER = re.compile(
    r"(?:SECRET|PASSWORD|API_?KEY|ACCESS_KEY|PRIVATE_KEY|AUTH_TOKEN|ACCESS_TOKEN|CONNECTION_STRING)"
)
_ENV_PUBLIC = re.compile(
    r"PUBLIC|^GPG_KEY$|FINGERPRINT|_PATH$|_FILE$|_DIR$|_NAME$|_URL$|_URI$|_ARN$|_ENDPOINT$|MAX_TOKENS"
)


@lru_cache(maxsize=4096)
def body_rule(name: str) -> Rule:
    """Return what the key or argument *name* says about its value."""
    lowered = name.lower()
    if len(name) > 128 or not any(marker in lowered for marker in _MARKERS):
        return Rule.NONE
    words = tuple(word.lower() for word in _WORD.findall(name))
    if not words:
        return Rule.NONE
    if words[-1] in _COOKIES:
        return Rule.COOKIES
    return _rule_of_words(words)


def _rule_of_words(words: tuple[str, ...]) -> Rule:
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last == "key" and before in _LOOSE_KEY_KINDS:
        return Rule.LOOSE
    if last in _ALONE_SEVERAL or (last == "keys" and before in _KEY_KINDS):
        return Rule.SEVERAL
    if password := _rule_of_password(before, last):
        return password
    if last in _ALONE or last.endswith(_ENDS) or (last == "key" and before in _KEY_KINDS):
        return Rule.SHAPED
    if last == "token":
        return _rule_of_token(before)
    if (before, last) == ("key", "value"):
        return _rule_of_words(words[:-1])
    if (before, last) in _PAIRS:
        return Rule.SHAPED
    return Rule.LOGIN if last == "auth" and before in _LOGIN_KINDS else Rule.NONE


def _rule_of_password(before: str, last: str) -> Rule:
    if last in _LOOSE_PASSWORDS:
        return Rule.PASSWORD if last != "sid" and before in _PASSWORD_OWNERS else Rule.LOOSE
    if last in _CODES:
        return Rule.CODE
    if last.endswith("passphrase") or (before, last) in _PHRASES:
        return Rule.PHRASE
    return Rule.PASSWORD if last.endswith(_PASSWORD_ENDS) else Rule.NONE


def _rule_of_token(before: str) -> Rule:
    if before in _TOKEN_KINDS:
        return Rule.SHAPED
    return Rule.NONE if before in _NO_SECRET_TOKENS else Rule.RANDOM


@lru_cache(maxsize=4096)
def parameter_rule(name: str) -> Rule:
    """Return what the query or form parameter *name* says: one that is only ever a credential goes at any length."""
    rule = body_rule(name)
    if rule >= Rule.SHAPED:
        return Rule.ALWAYS
    lowered = name.lower()
    if lowered.startswith(("x-amz-", "x-goog-")) and lowered.endswith(("-signature", "-credential", "-token")):
        return Rule.ALWAYS
    return Rule.RANDOM if lowered in _PARAMETERS else rule


@lru_cache(maxsize=1024)
def header_rule(name: str) -> HeaderRule:
    """Return what the value of the header *name* (lower-case) is."""
    if name == "cookie":
        return HeaderRule.COOKIE
    if name in ("set-cookie", "set-cookie2"):
        return HeaderRule.SET_COOKIE
    if name in _LINK_HEADERS:
        return HeaderRule.LINK
    if name in _PLAIN_HEADERS or name.startswith(("access-control-", "www-", "sec-")):
        return HeaderRule.PLAIN
    words = name.replace("_", "-").split("-")
    if words[-1] in _HEADER_ENDS or "signature" in words or name.endswith(_SESSIONS):
        return HeaderRule.CREDENTIAL
    return HeaderRule.CREDENTIAL if Rule.SHAPED <= body_rule(name) <= Rule.SEVERAL else HeaderRule.PLAIN


def may_hold_secret(name: str) -> bool:
    """Return whether a value under *name* can be a secret because of the name, be it a key, parameter or header."""
    header = "-".join(_WORD.findall(name)).lower()
    return bool(body_rule(name) or parameter_rule(name)) or header_rule(header) is HeaderRule.CREDENTIAL


@lru_cache(maxsize=1024)
def is_secret_variable(name: str) -> bool:
    """Return whether the environment variable *name* holds a secret, judging by the name."""
    upper = name.upper()
    if _ENV_PUBLIC.search(upper):
        return False
    return (
        upper.rpartition("_")[2] in _ENV_ENDS
        or upper.endswith(("KEY", "TOKEN"))
        or _ENV_INNER.search(upper) is not None
        or body_rule(name) >= Rule.SHAPED
    )


def variable_rule(name: str) -> Rule:
    """Return what the environment variable *name* says about its value; there, a pass is a password."""
    return Rule.PASSWORD if name.upper().endswith(("_PASS", "_PW")) else body_rule(name)


def mentions_secret(name: str) -> bool:
    """Return whether the environment variable *name* has a word of a secret's anywhere: reason not to print it."""
    words = name.upper().split("_")
    starts = ("_".join(words[: at + 1]) for at in range(len(words)))
    return is_secret_variable(name) or any(is_secret_variable(each) for each in starts if each != "PASS")


def folded(name: str) -> str:
    """Return *name* without case and separators, the form in which denied names are compared."""
    return re.sub(r"[^0-9a-z]", "", name.lower())
