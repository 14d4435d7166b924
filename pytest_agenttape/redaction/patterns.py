"""The formats of real credentials, found in any text in time proportional to its length.

Which formats exist was taken from the public rule lists of gitleaks and detect-secrets and from the providers' own
documentation; no rule of theirs is used as it is. Each format starts at a literal that is found by plain search, and
the expression matched there is bounded or possessive, so no text makes it backtrack.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache

from pytest_agenttape.redaction import shapes

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Format:
    """One format: where it starts, and the expression whose group ``secret``, or whole match, is the secret.

    Attributes:
        starts: Literals at which the search begins; *expression* is matched at the first character of one.
        glued: Whether it also counts right after a letter or digit.
        judge: What else the group ``tail``, or the whole match, must be.
    """

    name: str
    starts: tuple[str, ...]
    expression: str  # compiled when a text first holds one of *starts*: most runs never meet most formats
    glued: bool = False
    judge: Callable[[str], bool] = field(default=lambda _: True)

    def find(self, text: str) -> Iterator[Span]:
        """Yield the spans of the secrets of this format."""
        for literal in self.starts:
            at = text.find(literal)
            while at >= 0:
                match = _compiled(self.expression).match(text, at) if self.glued or is_boundary(text, at) else None
                if match is None:
                    at = text.find(literal, at + len(literal))
                    continue
                found = match.groupdict()
                if self.judge(found.get("tail") or match[0]):
                    yield match.span("secret" if "secret" in found else 0)
                at = text.find(literal, max(match.end(), at + len(literal)))


def find_formats(text: str) -> Iterator[tuple[str, Span]]:
    """Yield the name and the span of everything in *text* that has the format of a credential; spans may overlap."""
    if len(text) > _SHORT or _ANY_START.search(text):
        for each in FORMATS:
            yield from ((each.name, span) for span in each.find(text))
    yield from _find_beside(text)
    yield from (("discord-token", span) for span in _find_discord(text))


def starts_of(secret: str) -> Iterator[str]:
    """Yield the literals at which the formats begin that *secret* has, as a whole."""
    for each in FORMATS:
        if any(secret.startswith(start) for start in each.starts) and _compiled(each.expression).fullmatch(secret):
            yield from each.starts


def find_userinfo(text: str) -> Iterator[Span]:
    """Yield the spans of the passwords in ``scheme://user:password@host``."""
    at = text.find("://")
    while at >= 0:
        if (match := _USERINFO.match(text, at)) and not shapes.is_filler(match[1]) and match[1].lower() not in EXAMPLES:
            yield match.span(1)
        at = text.find("://", at + 3)


def find_authorization(text: str) -> Iterator[Span]:
    """Yield the spans of the credentials after the words Bearer and Basic."""
    for word, is_credential in (
        ("earer ", _is_bearer),
        ("EARER ", _is_bearer),
        ("asic ", _is_basic),
        ("ASIC ", _is_basic),
    ):
        at = text.find(word)
        while at >= 0:
            match = _CREDENTIAL.match(text, at + len(word))
            if match and text[at - 1 : at] in ("b", "B") and is_credential(match[0]):
                yield match.span()
            at = text.find(word, at + len(word))


def find_emails(text: str) -> Iterator[Span]:
    """Yield the spans of e-mail addresses."""
    at = text.find("@")
    while at >= 0:
        before = text[max(0, at - 64) : at]
        local = before[len(before.rstrip(_LOCAL_PART)) :]
        domain = _DOMAIN.match(text, at + 1)
        if local and domain:
            yield at - len(local), domain.end()
        at = text.find("@", at + 1)


def is_boundary(text: str, at: int) -> bool:
    """Return whether a word can begin at *at*: also after an escape such as ``\\n``, ``%20`` or ``\\u0022``."""
    if at == 0:
        return True
    before = text[at - 1]
    if before not in _TOKEN_CHARACTERS:
        return True
    if before in "nrtbf" and text[at - 2 : at - 1] == "\\":
        return True
    return text[at - 3 : at - 2] == "%" or text[max(0, at - 6) : at - 4] == "\\u"


def _has_key(text: str) -> bool:
    return not shapes.is_filler(text)


def _is_generic_key(text: str) -> bool:
    return not (shapes.is_filler(text) or shapes.is_name(text)) and (any(map(str.isdigit, text)) or "-" not in text)


def _is_random_case(text: str) -> bool:
    return bool(re.search("[0-9]", text) and re.search("[A-Z]", text) and re.search("[a-z]", text))


def _is_bearer(text: str) -> bool:
    return shapes.is_random(text) or (
        len(text) >= 20 and text != text.lower() and text != text.upper() and text.isalnum()
    )


def _is_basic(text: str) -> bool:
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return False
    return ":" in decoded and decoded.isprintable()


def _find_beside(text: str) -> Iterator[tuple[str, Span]]:
    """Yield secrets that have no mark of their own but are near the identifier they belong to."""
    for starts, identifier, secret, judge in _BESIDE:
        if not any(start in text for start in starts):
            continue
        end = 0
        for match in identifier.finditer(text):
            begin = max(end, match.start() - _NEARBY)
            end = match.end() + _NEARBY
            for near in secret.finditer(text, begin, min(end, len(text))):
                if judge(near[0]) and (near.end() <= match.start() or near.start() >= match.end()):
                    yield "secret-beside-identifier", near.span()


def _find_discord(text: str) -> Iterator[Span]:
    if "." not in text:
        return
    for match in _DISCORD_TAIL.finditer(text):
        before = text[max(0, match.start() - 30) : match.start()]
        head = before[len(before.rstrip(_TOKEN_CHARACTERS)) :]
        if 23 <= len(head) <= 28 and head[0] in "MNO" and _is_random_case(head + match[0]):
            yield match.start() - len(head), match.end()


def _format(
    name: str, starts: str, expression: str, *, glued: bool = False, judge: Callable[[str], bool] | None = None
) -> Format:
    return Format(name, tuple(starts.split("|")), expression, glued, judge or (lambda _: True))


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.ASCII | re.DOTALL)


_TOKEN_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_LOCAL_PART = _TOKEN_CHARACTERS + ".%+"
_NEARBY = 200
EXAMPLES = frozenset(("password", "pass", "passwd", "pw", "pwd", "secret", "your-password", "your_password"))
_USERINFO = re.compile(r"://[^\s/?#\"'<>:@\\]{0,128}:([^\s/?#\"'<>\\]{1,256})@(?=[\w\[])")
_CREDENTIAL = re.compile(r"[A-Za-z0-9._~+/=-]{8,}+")
_DOMAIN = re.compile(r"[A-Za-z0-9-]{1,63}+(?:\.[A-Za-z0-9-]{1,63}+){1,8}+")
_DISCORD_TAIL = re.compile(r"\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,45}+")
_BESIDE: tuple[tuple[tuple[str, ...], re.Pattern[str], re.Pattern[str], Callable[[str], bool]], ...] = (
    (
        ("AKIA", "ASIA"),
        re.compile(r"A[KS]IA[A-Z2-7]{16}"),
        re.compile(r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"),
        _is_random_case,
    ),
    (
        ("AC",),
        re.compile(r"(?<![A-Za-z0-9])AC[0-9a-f]{32}(?![0-9A-Za-z])"),
        re.compile(r"(?<![A-Za-z0-9])[0-9a-f]{32}(?![0-9A-Za-z])"),
        shapes.is_random,
    ),
)

# Token | where it starts | the whole token. A run is possessive: it never gives back what it took.
FORMATS: tuple[Format, ...] = (
    _format(
        "sk-key",
        "sk-ant-|sk-proj-|sk-or-|sk-svcacct-|sk-admin-|sk-lf-",
        r"sk-[a-z]+-(?:[a-z]{2,6}\d{2}-)?+(?P<tail>[\w-]{12,}+)",
        glued=True,
        judge=_has_key,
    ),
    _format("sk-key", "sk-", r"sk-(?!(?:ant|proj|or|svcacct|admin|lf)-)(?P<tail>[\w-]{16,}+)", judge=_is_generic_key),
    _format("openai-session", "sess-", r"sess-[A-Za-z0-9]{32,}+"),
    _format("openai-realtime", "ek_", r"ek_[A-Za-z0-9]{30,}+", judge=_has_key),
    _format("google-api-key", "AIza", r"AIza[\w-]{30,}+", glued=True, judge=_has_key),
    _format("google-auth-key", "AQ.Ab", r"AQ\.Ab[\w-]{30,}+"),
    _format("google-live", "auth_tokens/", r"auth_tokens/(?P<secret>[A-Za-z0-9]{32,}+)", glued=True),
    _format("google-oauth", "ya29.|GOCSPX-", r"(?:ya29\.|GOCSPX-)[\w.-]{20,}+"),
    _format("google-refresh", "1//0", r"1//0[\w-]{30,}+"),
    _format("aws-access-key", "AKIA|ASIA|ABIA|ACCA", r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _format("aws-bedrock-key", "ABSK|bedrock-api-key-", r"(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/]{40,}+={0,2}"),
    _format("aws-signature", "X-Amz-Signature=|Signature=", r"(?:X-Amz-)?Signature=(?P<secret>[0-9a-fA-F]{64})"),
    _format("github-token", "ghp_|gho_|ghu_|ghs_|ghr_", r"gh[pousr]_[A-Za-z0-9]{20,}+", glued=True, judge=_has_key),
    _format("github-token", "github_pat_", r"github_pat_(?P<tail>[A-Za-z0-9_]{20,}+)", glued=True, judge=_has_key),
    _format(
        "gitlab-token",
        "glpat-|gldt-|glrt-|glptt-|glcbt-|glsoat-|glimt-|glagent-|glft-|gloas-",
        r"gl[a-z]{2,6}-[\w.-]{18,}+",
        judge=_has_key,
    ),
    _format("slack-token", "xox|xapp-", r"x(?:ox[a-z](?:\.xox[a-z])?|app)-[A-Za-z0-9-]{12,}+", judge=_has_key),
    _format(
        "slack-webhook",
        "hooks.slack.com/",
        r"hooks\.slack\.com/[a-z]{1,20}/[\w-]{1,64}/[\w-]{1,64}/(?P<secret>[\w-]{16,}+)",
        glued=True,
    ),
    _format("discord-webhook", "/api/webhooks/", r"/api/webhooks/\d{5,25}/(?P<secret>[\w-]{30,}+)", glued=True),
    _format(
        "teams-webhook", "/IncomingWebhook/", r"/IncomingWebhook/(?P<secret>[0-9a-f]{32})(?![0-9A-Za-z])", glued=True
    ),
    _format(
        "stripe-key",
        "sk_live_|sk_test_|rk_live_|rk_test_",
        r"[sr]k_(?:live|test)_[A-Za-z0-9]{10,}+",
        glued=True,
        judge=_has_key,
    ),
    _format("webhook-secret", "whsec_", r"whsec_[A-Za-z0-9+/]{16,}+={0,2}", judge=_has_key),
    _format("huggingface-token", "hf_|api_org_", r"(?:hf|api_org)_[A-Za-z0-9]{24,}+", judge=_has_key),
    _format("groq-key", "gsk_", r"gsk_[A-Za-z0-9]{20,}+", judge=_has_key),
    _format("npm-token", "npm_", r"npm_[A-Za-z0-9]{30,}+", judge=_has_key),
    _format("pypi-token", "pypi-", r"pypi-[\w-]{32,}+", judge=_has_key),
    _format("sendgrid-key", "SG.", r"SG\.[\w-]{16,64}+\.[\w-]{16,}+"),
    _format("twilio-key", "SK", r"SK[0-9a-f]{32}(?![0-9A-Za-z])"),
    _format("cerebras-key", "csk-", r"csk-[a-z0-9]{40,}+", judge=_has_key),
    _format("xai-key", "xai-", r"xai-[A-Za-z0-9]{32,}+", judge=_has_key),
    _format("perplexity-key", "pplx-", r"pplx-[A-Za-z0-9]{32,}+", judge=_has_key),
    _format("replicate-token", "r8_", r"r8_[A-Za-z0-9]{30,}+", judge=_has_key),
    _format("databricks-token", "dapi", r"dapi[0-9a-f]{32}(?:-\d)?(?![0-9A-Za-z])"),
    _format("tavily-key", "tvly-", r"tvly-[\w-]{20,}+", judge=_has_key),
    _format("langsmith-key", "lsv2_", r"lsv2_[a-z]{2}_[0-9a-f]{32}_[0-9a-f]{8,}+"),
    _format("pinecone-key", "pcsk_", r"pcsk_\w{30,}+", judge=_has_key),
    _format("fireworks-key", "fw_", r"fw_[A-Za-z0-9]{20,}+", judge=_is_random_case),
    _format("nvidia-key", "nvapi-", r"nvapi-[\w-]{40,}+", judge=_has_key),
    _format("mailgun-key", "key-", r"key-[0-9a-f]{32}(?![0-9A-Za-z])"),
    _format("digitalocean-token", "dop_v1_|doo_v1_|dor_v1_", r"do[por]_v1_[0-9a-f]{40,}+"),
    _format("telegram-token", "bot", r"bot(?P<secret>\d{6,12}:[\w-]{30,}+)", glued=True),
    _format(
        "azure-account-key",
        "AccountKey=|SharedAccessKey=",
        r"(?:Account|SharedAccess)Key=(?P<secret>[A-Za-z0-9+/]{32,}+={0,2})",
        glued=True,
    ),
    _format("azure-client-secret", "8Q~|7Q~|9Q~|6Q~", r"\dQ~[\w.~-]{31,34}+", glued=True),
    _format("shopify-token", "shpat_|shpss_|shpca_|shppa_", r"shp[a-z]{2}_[0-9a-fA-F]{32}"),
    _format("linear-key", "lin_api_|lin_oauth_", r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}+"),
    _format("notion-token", "ntn_|secret_", r"(?:ntn|secret)_[A-Za-z0-9]{40,}+", judge=_is_random_case),
    _format("airtable-token", "pat", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    _format("postman-key", "PMAK-", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    _format("vault-token", "hvs.|hvb.", r"hv[sb]\.[\w-]{24,}+"),
    _format("doppler-token", "dp.pt.|dp.st.", r"dp\.[ps]t\.[\w.-]{40,}+"),
    _format("newrelic-key", "NRAK-", r"NRAK-[A-Z0-9]{27}"),
    _format("sentry-token", "sntrys_|sntryu_", r"sntry[su]_[A-Za-z0-9+/=_-]{40,}+"),
    _format("grafana-token", "glsa_|glc_", r"gl(?:sa|c)_[A-Za-z0-9+/=_]{32,}+"),
    _format("age-key", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
    _format(
        "jwt",  # signed, or encrypted
        "eyJ",
        r"eyJ[\w-]{13,}+\.(?:eyJ[\w-]{3,}+\.[\w-]{10,}+|[\w-]{0,4096}+\.[\w-]{8,4096}+\.[\w-]{16,}+\.[\w-]{16,}+)",
    ),
    _format(
        "private-key",
        "-----BEGIN ",
        r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
        r"(?s:(?!.{0,15}-----))(?:[^-]++|-(?!----))++-----END (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)?-----",
        glued=True,
    ),
    _format(
        "private-key",
        "-----BEGIN ",  # cut off before its end
        r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
        r"(?P<secret>(?:(?:\s|\\[nr]){1,8}+(?:[A-Z][\w-]{1,24}+: [\w ,.()/+:-]{1,128}+)?+){1,8}+"
        r"[A-Za-z0-9+/=\s\\]{16,}+)(?!-)",
        glued=True,
    ),
)
_SHORT = 400  # in a longer text, a search for each start is faster than one for all
_ANY_START = re.compile("|".join(sorted({re.escape(start) for each in FORMATS for start in each.starts})))
