"""The environment of a framework: all its services are the stand-in provider, and nothing else is asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.standin import StandInProvider

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # read when it is imported


@dataclass
class Connections:
    """Addresses that were connected to; those that are not of this machine are refused."""

    is_open: bool = False
    made: list[str] = field(default_factory=list)

    def hear(self, event: str, args: tuple[object, ...]) -> None:
        """Note a connection. (The listener of an audit hook, which cannot be taken away.)"""
        if not self.is_open or event not in ("socket.connect", "socket.getaddrinfo"):
            return
        address = args[1] if event == "socket.connect" else args[:2]
        if not isinstance(address, tuple):
            return  # a unix socket
        is_local = address[0] in ("127.0.0.1", "::1", "localhost", None, b"127.0.0.1", b"localhost")
        if event == "socket.connect" or not is_local:
            self.made.append(f"{address[0]}:{address[1]}")
        if not is_local:
            raise ConnectionRefusedError(f"no test asks {address[0]}")

    def since(self) -> list[str]:
        """Return the connections since the last look."""
        seen, self.made = self.made, []
        return seen


@pytest.fixture(scope="session")
def _listener() -> Connections:
    made = Connections()
    sys.addaudithook(made.hear)
    return made


@pytest.fixture
def connections(_listener: Connections) -> Iterator[Connections]:
    _listener.is_open = True
    _listener.since()
    yield _listener
    _listener.is_open = False


@pytest.fixture
def provider(
    standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> StandInProvider:
    """Return the stand-in, to which the environment sends every SDK."""
    url = standin_provider.url
    settings = {
        "OPENAI_API_KEY": "sk-test-key",
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_BASE": f"{url}/v1",
        "ANTHROPIC_API_KEY": "sk-ant-test-key",
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_BASE": url,
        "GEMINI_API_KEY": "gemini-test-key",
        "GOOGLE_API_KEY": "gemini-test-key",
        "GOOGLE_GEMINI_BASE_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE1234567890",
        "AWS_SECRET_ACCESS_KEY": "recorded-secret-key-of-forty-characters-",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": url,
        "CO_API_KEY": "cohere-test-key",
        "CO_API_URL": url,
        "GROQ_API_KEY": "gsk-test-key",
        "GROQ_BASE_URL": url,
        "HF_TOKEN": "hf-test-token",
        "MISTRAL_API_KEY": "mistral-test-key",
        "OLLAMA_HOST": url,
        "HOME": str(tmp_path_factory.mktemp("home")),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return standin_provider
