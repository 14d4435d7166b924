"""What the cassette of a long conversation is made of, part by part."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from openai import OpenAI

from pytest_agenttape import use_cassette
from tests import conversation
from tests.benchmarks import table
from tests.standin import StandInProvider

# What a line begins, by its depth: the first that fits. Lines that begin nothing belong to what was begun before.
_BEGINS = (
    (r"- index:", "kinds, addresses, keys, times, tokens, metadata"),
    (r"  kind: tool", "calls of tools"),
    (r"  (?:request|match_key|usage|metadata):", "kinds, addresses, keys, times, tokens, metadata"),
    (r"      messages:", "messages: the prompt, questions, tool calls, results, texts"),
    (r"      tools:", "schemas of the tools, once"),
    (r"  response:", "answers: status, headers, ids, tokens, layout"),
    (r"      choices:", "answers: texts and tool calls"),
    (r"      [a-z]", "answers: status, headers, ids, tokens, layout"),
    (r"    json_layout:", "answers: status, headers, ids, tokens, layout"),
    (r"    delivery:", "delivery: ids, limits, timings, cookies"),
)
_AGAIN = re.compile(r"      - \*")
_OF_ANSWERS = "answers"


def lines(work: Path) -> list[str]:
    """Record the conversation of the tests and measure its cassette."""
    path = work / "conversation.yaml"
    with StandInProvider() as provider:
        conversation.script(provider)
        with use_cassette(path, mode="all"):
            conversation.talk(OpenAI(base_url=provider.openai_url, api_key="a-key-of-no-one"))
    text = path.read_text(encoding="utf-8")
    sizes = _sizes(text)
    rows = [("part of the file", "lines", "size")]
    rows += [(part, f"{count:,}", f"{size / 1000:.1f} kB") for part, (count, size) in sizes.items()]
    rows.append(("in all", f"{text.count(chr(10)):,}", f"{len(text.encode()) / 1000:.1f} kB"))
    return table.aligned(rows)


def _sizes(text: str) -> dict[str, tuple[int, int]]:
    """Return the lines and bytes of each part, the largest first."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    part = "head: versions, clock, seed, placeholders"
    for line in text.splitlines(keepends=True):
        part = _part(line, part)
        shown = "messages that are sent again: an alias each" if _AGAIN.match(line) else part
        counts[shown] += 1
        sizes[shown] += len(line.encode())
    return {each: (counts[each], size) for each, size in sizes.most_common()}


def _part(line: str, before: str) -> str:
    for pattern, part in _BEGINS:
        is_inside = pattern == r"      [a-z]" and not before.startswith(_OF_ANSWERS)
        if re.match(pattern, line) and not is_inside and (before != "calls of tools" or line.startswith("- index")):
            return part
    return before
