"""The environment variables in which SDKs and agents look for the key of a provider."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit

Names = tuple[str, ...]  # of one key: whoever has set one of them needs no other

# By the end of the host's name. What is served in OpenAI's words is often another provider's.
_BY_HOST: tuple[tuple[str, Names], ...] = (
    ("openai.azure.com", ("AZURE_OPENAI_API_KEY",)),
    ("cognitiveservices.azure.com", ("AZURE_OPENAI_API_KEY",)),
    ("services.ai.azure.com", ("AZURE_OPENAI_API_KEY",)),
    ("aiplatform.googleapis.com", ()),  # Vertex AI looks up credentials of Google Cloud
    ("amazonaws.com", ()),  # botocore's credentials have stand-ins of their own
    ("generativelanguage.googleapis.com", ("GEMINI_API_KEY", "GOOGLE_API_KEY")),
    ("anthropic.com", ("ANTHROPIC_API_KEY",)),
    ("cerebras.ai", ("CEREBRAS_API_KEY",)),
    ("cohere.com", ("CO_API_KEY", "COHERE_API_KEY")),
    ("deepseek.com", ("DEEPSEEK_API_KEY",)),
    ("exa.ai", ("EXA_API_KEY",)),
    ("fireworks.ai", ("FIREWORKS_API_KEY",)),
    ("groq.com", ("GROQ_API_KEY",)),
    ("huggingface.co", ("HF_TOKEN",)),
    ("jina.ai", ("JINA_API_KEY",)),
    ("mistral.ai", ("MISTRAL_API_KEY",)),
    ("moonshot.ai", ("MOONSHOT_API_KEY",)),
    ("openai.com", ("OPENAI_API_KEY",)),
    ("openrouter.ai", ("OPENROUTER_API_KEY",)),
    ("perplexity.ai", ("PERPLEXITY_API_KEY",)),
    ("pinecone.io", ("PINECONE_API_KEY",)),
    ("tavily.com", ("TAVILY_API_KEY",)),
    ("together.ai", ("TOGETHER_API_KEY",)),
    ("together.xyz", ("TOGETHER_API_KEY",)),
    ("voyageai.com", ("VOYAGE_API_KEY",)),
    ("x.ai", ("XAI_API_KEY",)),
)
# By the words of an LLM call, where the host says nothing: a gateway, a proxy, a stand-in.
_BY_WORDS: dict[str, Names] = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "cohere": ("CO_API_KEY", "COHERE_API_KEY"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "huggingface": ("HF_TOKEN",),
    "mistral": ("MISTRAL_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
}
_KNOWN = frozenset(name for _, names in (*_BY_HOST, *_BY_WORDS.items()) for name in names)
_NAME = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")
_UNNAMED = {  # as google-genai and anthropic say it
    "Missing key inputs argument": "GOOGLE_API_KEY",
    "Could not resolve authentication method. Expected one of api_key": "ANTHROPIC_API_KEY",
}


def key_names(boundary: str | None, url: str) -> Names:
    """Return the variables in which the key for a recorded HTTP call is looked for, if that is known."""
    names = _names_of_host(urlsplit(url).hostname or "")
    return _BY_WORDS.get((boundary or "").partition(".")[0], ()) if names is None else names


def answers_for_a_key(host: str) -> bool:
    """Return whether a host is known to answer only whoever has a key, and mostly for money."""
    names = _names_of_host(host.lower())
    return bool(names) and names != ("HF_TOKEN",)  # Hugging Face has downloads for everybody


@lru_cache(maxsize=256)  # asked for every recording of an opened cassette
def _names_of_host(host: str) -> Names | None:
    return next((names for end, names in _BY_HOST if host == end or host.endswith(f".{end}")), None)


def missing_key(said: str) -> str | None:
    """Return the variable that an error speaks of: a provider's key; None if it is about something else."""
    named = next((name for name in _NAME.findall(said) if name in _KNOWN), None)
    return named or next((name for text, name in _UNNAMED.items() if text in said), None)
