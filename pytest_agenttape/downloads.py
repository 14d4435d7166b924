"""What libraries download once and keep: whether a test asks for it depends on what has run before it.

It is recorded and replayed like any request, because its content matters. But a test that finds it kept, and so does
not ask for it again, has not drifted. Read in tiktoken 0.14 and huggingface_hub 2.4: neither does without what it asks
for, so no failure could be put in its place.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class _Library:
    """Who downloads, from which host and path, and how a test is made independent of it."""

    name: str
    place: re.Pattern[str]
    way_out: str


_LIBRARIES = (
    _Library(
        "tiktoken",
        re.compile(r"^openaipublic\.blob\.core\.windows\.net/(?:encodings|gpt-2/encodings)/"),
        "keep its files in the project: set TIKTOKEN_CACHE_DIR, and fill that folder once before the tests run",
    ),
    _Library(
        "huggingface_hub",
        re.compile(r"^(?:huggingface\.co/(?:[^/]+/){1,3}resolve/|[^/]*(?:cdn|xethub)[^/]*\.hf\.co/)"),
        "download the files once before the tests run, and set HF_HUB_OFFLINE=1",
    ),
)


def is_kept(method: str, url: str) -> bool:
    """Return whether a known library reads *url*, and asks only where it has not kept the answer."""
    return method.upper() in ("GET", "HEAD") and _library(url) is not None


def hint(url: str) -> tuple[str, ...]:
    """Return the lines that say why only some runs request *url*; empty if it is no known download."""
    library = _library(url)
    if library is None:
        return ()
    return (
        f"{library.name} keeps what it downloads, so which test asks for this depends on what has run before:",
        f"  {library.way_out}",
    )


@functools.lru_cache(maxsize=256)
def _library(url: str) -> _Library | None:
    parts = urlsplit(url)
    place = f"{parts.hostname or ''}{parts.path}"
    return next((each for each in _LIBRARIES if each.place.search(place)), None)
