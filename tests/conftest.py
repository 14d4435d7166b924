"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _as_outside_of_ci() -> Iterator[None]:
    """Let tests record on a CI machine as anywhere; those about CI set the variable."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CI", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_certificate_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let clients know one authority: to read all of certifi's takes each 25 ms, and no test asks a public server."""
    import certifi  # what httpx and requests read by default

    with open(certifi.where(), encoding="utf-8") as bundle:
        first, end, _ = bundle.read().partition("-----END CERTIFICATE-----\n")
    path = tmp_path_factory.mktemp("authorities") / "one.pem"
    path.write_text(first + end, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield
