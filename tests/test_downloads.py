"""Which requests are downloads that a library makes once, and what is said of them."""

from __future__ import annotations

import pytest

from pytest_agenttape import downloads

KEPT = {
    "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken": "TIKTOKEN_CACHE_DIR",
    "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/vocab.bpe": "TIKTOKEN_CACHE_DIR",
    "https://huggingface.co/BAAI/bge-small-en/resolve/main/config.json": "HF_HUB_OFFLINE=1",
    "https://huggingface.co/gpt2/resolve/main/tokenizer.json": "HF_HUB_OFFLINE=1",
    "https://huggingface.co/datasets/squad/plain/resolve/main/x.parquet": "HF_HUB_OFFLINE=1",
    "https://us.gcp.cdn.hf.co/xet/7f": "HF_HUB_OFFLINE=1",
    "https://cas-bridge.xethub.hf.co/xet/7f": "HF_HUB_OFFLINE=1",
}
OTHERS = (
    "https://huggingface.co/api/models/gpt2",
    "https://router.huggingface.co/v1/chat/completions",
    "https://huggingface.co/papers",
    "https://hf.co/papers",
    "https://openaipublic.blob.core.windows.net/other/x",
    "https://own.blob.core.windows.net/encodings/o200k_base.tiktoken",
    "https://huggingface.co.evil.example/gpt2/resolve/main/x",
    "",
)


@pytest.mark.parametrize("url", KEPT)
def test_what_a_library_keeps(url: str) -> None:
    assert downloads.is_kept("GET", url)
    assert downloads.is_kept("head", url)
    assert not downloads.is_kept("POST", url)
    assert KEPT[url] in downloads.hint(url)[1]


@pytest.mark.parametrize("url", OTHERS)
def test_what_an_agent_asks_for(url: str) -> None:
    assert not downloads.is_kept("GET", url)
    assert downloads.hint(url) == ()
