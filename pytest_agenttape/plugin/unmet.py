"""Failed assertions of the handle: plain `AssertionError`s that know in a few words what they are about."""

from __future__ import annotations

_HEADLINE = "agenttape_headline"  # an attribute of the error; pytest would show a class of ours by its module
_CAUSE = "first divergence: "


def unmet(text: str, headline: str = "") -> AssertionError:
    """Return the error that says *text*; the short summary of the run says *headline*, or the cause in the text."""
    lines = text.splitlines()
    cause = next((line.removeprefix(_CAUSE) for line in lines if line.startswith(_CAUSE)), lines[0])
    error = AssertionError(text)
    setattr(error, _HEADLINE, headline or cause)
    return error


def headline_of(error: BaseException | None) -> str | None:
    """Return what a failed assertion of ours is about; None if *error* is none."""
    return getattr(error, _HEADLINE, None)
