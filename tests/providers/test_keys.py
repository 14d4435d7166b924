"""Which variables hold the key for a recorded call, and which errors are about such a variable."""

from __future__ import annotations

import pytest

from pytest_agenttape.providers.keys import key_names, missing_key


@pytest.mark.parametrize(
    ("boundary", "url", "names"),
    [
        ("openai.chat", "https://api.openai.com/v1/chat/completions", ("OPENAI_API_KEY",)),
        ("openai.chat", "http://127.0.0.1:8080/v1/chat/completions", ("OPENAI_API_KEY",)),
        ("openai.chat", "https://api.groq.com/openai/v1/chat/completions", ("GROQ_API_KEY",)),
        (
            "openai.chat",
            "https://mine.openai.azure.com/openai/deployments/a/chat/completions",
            ("AZURE_OPENAI_API_KEY",),
        ),
        ("anthropic.messages", "https://api.anthropic.com/v1/messages", ("ANTHROPIC_API_KEY",)),
        ("anthropic.messages", "https://eu-aiplatform.googleapis.com/v1/projects", ("ANTHROPIC_API_KEY",)),
        ("gemini.generate_content", "http://gateway/v1/models/g:generateContent", ("GEMINI_API_KEY", "GOOGLE_API_KEY")),
        ("bedrock.converse", "https://bedrock-runtime.eu-west-1.amazonaws.com/model/a/converse", ()),
        ("ollama.chat", "http://localhost:11434/api/chat", ()),
        (None, "https://api.tavily.com/search", ("TAVILY_API_KEY",)),
        (None, "https://notopenai.com/", ()),
        (None, "", ()),
    ],
)
def test_a_key_is_that_of_the_host_or_else_of_the_words(boundary: str | None, url: str, names: tuple[str, ...]) -> None:
    assert key_names(boundary, url) == names


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (
            "Missing credentials. Please pass an `api_key`, or set the `OPENAI_API_KEY` environment variable.",
            "OPENAI_API_KEY",
        ),
        ("by setting the GROQ_API_KEY environment variable", "GROQ_API_KEY"),
        ("Missing key inputs argument! To use the Google AI API, provide (`api_key`) arguments.", "GOOGLE_API_KEY"),
        ("'HF_TOKEN'", "HF_TOKEN"),
        ("BILLING_API_KEY is not set", None),
        ("assert 1 == 2", None),
    ],
)
def test_an_error_is_about_a_key_that_it_names(said: str, name: str | None) -> None:
    assert missing_key(said) == name
