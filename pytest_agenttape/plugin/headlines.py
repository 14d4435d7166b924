"""Errors that are none of ours, and of which we know in a few words what they are about."""

from __future__ import annotations

_HEADLINE = "agenttape_headline"  # an attribute of the error; pytest would show a class of ours by its module
_CAUSE = "first divergence: "


def unmet(text: str, headline: str = "") -> AssertionError:
    """Return the failed assertion that says *text*; its headline is the cause in the text if none is given."""
    lines = text.splitlines()
    cause = next((line.removeprefix(_CAUSE) for line in lines if line.startswith(_CAUSE)), lines[0])
    error = AssertionError(text)
    give_headline(error, headline or cause)
    return error


def give_headline(error: BaseException, headline: str) -> None:
    """Let the short summary of the run say *headline* of *error*."""
    setattr(error, _HEADLINE, headline)


def headline_of(error: BaseException | None) -> str | None:
    """Return what *error* is about, if that was said here."""
    return getattr(error, _HEADLINE, None)
