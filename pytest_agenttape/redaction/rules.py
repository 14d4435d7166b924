"""What a project adds to the built-in rules of redaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, Self

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.redaction.names import folded
from pytest_agenttape.redaction.placeholders import PLACEHOLDER
from pytest_agenttape.redaction.user_patterns import BoundedPattern, bounded


class RedactSettings(Protocol):
    """The `[redact]` table, as the configuration has it."""

    @property
    def denylist(self) -> Iterable[str]: ...
    @property
    def regexes(self) -> Iterable[str]: ...
    @property
    def allow(self) -> Iterable[str]: ...
    @property
    def redact_emails(self) -> bool: ...
    @property
    def placeholder(self) -> str: ...
    @property
    def enabled(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class RedactionRules:
    """The rules beyond the built-in ones; checked when made.

    Attributes:
        denylist: Further names of headers, parameters, keys and arguments whose values are always redacted.
        regexes: Further patterns of secrets.
        redact_emails: Whether e-mail addresses are redacted too.
        placeholder: What replaces a secret. A number follows the word ``REDACTED`` (or ``****``) in it; a text
            without that word replaces every secret alike.
        enabled: False leaves everything as it is.
        allow: Patterns of whole values that are no secrets, whatever finds them.

    Raises:
        ConfigError: A pattern or a name cannot be used.
    """

    denylist: tuple[str, ...] = ()
    regexes: tuple[str, ...] = ()
    redact_emails: bool = False
    placeholder: str = PLACEHOLDER
    enabled: bool = True
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.denylist:
            if not isinstance(name, str) or not folded(name):
                raise ConfigError(f"redact.denylist: {name!r} is not a name")
        for source in self.regexes:
            bounded(source)
        for source in self.allow:
            bounded(source, "redact.allow")
        text = self.placeholder
        if not isinstance(text, str) or not 1 <= len(text) <= 64 or not text.isprintable() or set(text) & set("\"'\\ "):
            raise ConfigError(
                f"redact.placeholder: {text!r} cannot be written everywhere; use 1 to 64 printable characters"
                " without spaces, quotes or backslashes"
            )

    @classmethod
    def of(cls, settings: RedactSettings) -> Self:
        """Return the rules that a configuration names."""
        return cls(
            denylist=tuple(settings.denylist),
            regexes=tuple(settings.regexes),
            allow=tuple(settings.allow),
            redact_emails=settings.redact_emails,
            placeholder=settings.placeholder,
            enabled=settings.enabled,
        )

    def merged(self, other: Self) -> Self:
        """Return the rules of both together: what one redacts, the other cannot let through.

        So where both redact, only what both allow is allowed.
        """
        allow = (each for each in self.allow if not other.enabled or each in other.allow)
        return type(self)(
            denylist=tuple(dict.fromkeys((*self.denylist, *other.denylist))),
            regexes=tuple(dict.fromkeys((*self.regexes, *other.regexes))),
            allow=tuple(allow) if self.enabled else other.allow,
            redact_emails=self.redact_emails or other.redact_emails,
            placeholder=self.placeholder,
            enabled=self.enabled or other.enabled,
        )

    @property
    def patterns(self) -> tuple[BoundedPattern, ...]:
        """The user's patterns, ready to run."""
        return tuple(bounded(source) for source in self.regexes)

    @property
    def allowed(self) -> tuple[BoundedPattern, ...]:
        """The user's patterns of values that stay, ready to run."""
        return tuple(bounded(source, "redact.allow") for source in self.allow)
