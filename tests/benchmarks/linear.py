"""What a large text costs: redaction, canonical form, YAML, at growing sizes, with the exponent of the growth."""

from __future__ import annotations

import base64
import math
import random
import statistics
import string
import time
from collections.abc import Callable
from typing import TypeAlias

from pytest_agenttape import serializer
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.matching.canonical import KeyRules, canonical_text
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.redaction import RedactionRules, Redactor
from tests.benchmarks import table

Value: TypeAlias = Callable[[int], JSON]

_LARGEST = 5_000_000  # characters
_BLOCK = 50_000  # of random text, repeated, so that each part of a size is like every other
_STEPS = (4, 2, 1)  # a quarter, a half, the whole


def _no_spaces(size: int) -> str:
    block = "".join(random.Random(1).choices(string.ascii_letters + string.digits + "_-.:/=+", k=_BLOCK))
    return block * (size // _BLOCK)


def _one_letter(size: int) -> str:
    return "a" * size


def _encoded(size: int) -> str:
    return base64.b64encode(random.Random(2).randbytes(_BLOCK * 3 // 4)).decode() * (size // _BLOCK)


def _many_texts(size: int) -> list[JSON]:
    return [f"w{number}" for number in range(size // 5)]


def _many_lines(size: int) -> str:
    return "api_key is no key: x=1\n" * (size // 23)


#: What is large: a million short texts are five million characters, too.
VALUES: dict[str, Value] = {
    "no white space": _no_spaces,
    "one letter": _one_letter,
    "base64": _encoded,
    "short texts": _many_texts,
    "short lines": _many_lines,
}


def _redact(value: JSON) -> None:
    Redactor(RedactionRules(regexes=("ACME-[0-9]{8}",)), {"MY_API_KEY": "q8Zr5tXw2LmN7vBc"}).value({"text": value})


def _scan(value: JSON) -> None:
    Redactor(RedactionRules(), {"MY_API_KEY": "q8Zr5tXw2LmN7vBc"}).scan(str(value))


def _canonical(value: JSON) -> None:
    canonical_text({"args": {"text": value}}, KeyRules.of(()))


def _cassette(value: JSON) -> Cassette:
    return Cassette(interactions=[Interaction(index=0, kind="tool", request={"args": {}}, response=value)])


def _write(value: JSON) -> None:
    serializer.dump(_cassette(value).to_dict())


WORK: dict[str, Callable[[JSON], None]] = {
    "redaction": _redact,
    "scan before writing": _scan,
    "canonical form": _canonical,
    "YAML": _write,
}


def exponent(sizes: tuple[int, ...], seconds: list[float]) -> float:
    """Return *k* of the law ``seconds = c * size ** k`` that fits best: 1 is linear."""
    slope = statistics.linear_regression([math.log(size) for size in sizes], [math.log(each) for each in seconds])
    return slope.slope


def lines(repeats: int) -> list[str]:
    """Measure all work on all values."""
    sizes = tuple(_LARGEST // step for step in _STEPS)
    rows = [("", *(f"{size:,}" for size in sizes), "exponent")]
    for name, make in VALUES.items():
        values = [make(size) for size in sizes]
        for what, work in WORK.items():
            best = [min(_seconds(work, value) for _ in range(repeats)) for value in values]
            shown = (table.duration(each * 1e9) for each in best)
            rows.append((f"{name}, {what}", *shown, f"{exponent(sizes, best):.2f}"))
    return table.aligned(rows)


def _seconds(work: Callable[[JSON], None], value: JSON) -> float:
    started = time.process_time()
    work(value)
    return max(time.process_time() - started, 1e-6)
