"""The API of a provider, to record and to replay."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.standin import StandInProvider

pytest.register_assert_rewrite("tests.providers.laws")

from tests.providers.laws import Api  # noqa: E402  # its asserts are rewritten from here on


@pytest.fixture
def api(tmp_path: Path, standin_provider: StandInProvider) -> Api:
    return Api(tmp_path / "cassette.yaml", standin_provider)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
