"""OpenAI embeddings: texts with words in common get vectors that are close."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import struct

from tests.standin import openai_common
from tests.standin.dialect import Call, Dialect, count_tokens, pretty
from tests.standin.script import JSON, Answer


def _complete(call: Call, _answer: Answer) -> bytes:
    given = call.body["input"]
    texts = [given] if isinstance(given, str) else given
    size = call.body.get("dimensions") or (3072 if "large" in call.model else 1536)
    tokens = sum(map(count_tokens, texts))
    return pretty(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": _encoded(call, _vector(str(each), size))}
                for index, each in enumerate(texts)
            ],
            "model": call.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _encoded(call: Call, vector: list[float]) -> JSON:
    packed = struct.pack(f"<{len(vector)}f", *vector)
    if call.body.get("encoding_format") == "base64":
        return base64.b64encode(packed).decode()
    return [round(value, 8) for value in struct.unpack(f"<{len(vector)}f", packed)]


def _vector(words: str, size: int) -> list[float]:
    """Hash each word to a place and a sign, and scale to length one."""
    vector = [0.0] * size
    for word in re.findall(r"\w{3,}", words.lower()) or [words]:
        digest = hashlib.sha256(word.rstrip("s").encode()).digest()
        vector[int.from_bytes(digest[:4], "big") % size] += 1 if digest[4] % 2 else -1
    length = math.hypot(*vector) or 1
    return [value / length for value in vector]


DIALECT = Dialect(
    route="/{prefix:.*}embeddings",
    required=("input",),
    read=openai_common.never_asked,
    complete=_complete,
    events=openai_common.never_streamed,
    refuse=openai_common.refuse,
    headers=openai_common.headers,
)
