"""botocore's credentials. A replay asks nobody for them: no metadata service, no role, no program.

Whatever is not in the environment gets a stand-in, for what is signed is not sent. A recording looks them up as ever,
and keeps nothing of that.

Third-party privates used here: botocore 1.34-1.44 `CredentialResolver.load_credentials` and `.providers`, `METHOD` of
one, and `RefreshableCredentials._refresh`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from botocore import credentials, exceptions  # type: ignore[import-untyped]  # it has no types

from pytest_agenttape import ownership
from pytest_agenttape.libraries import Library
from pytest_agenttape.process.patching import Patch

_BOTOCORE = Library("botocore", seen="1.34-1.44")
_STAND_IN = ("AKIAREPLAYED00000000", "a-stand-in-of-pytest-agenttape-in-replay")


def install(library: str) -> None:
    """Patch what looks up credentials."""
    module = sys.modules[library]
    _BOTOCORE.require(module, "CredentialResolver", "RefreshableCredentials")
    _BOTOCORE.require(module.CredentialResolver, "load_credentials")
    _BOTOCORE.require(module.RefreshableCredentials, "_refresh", "get_frozen_credentials")
    for patch in _PATCHES:
        patch.install()


class _StandIn(credentials.Credentials):  # type: ignore[misc]  # botocore has no types
    """Credentials that sign what is never sent. One that outlives its session gets real ones, looked up then."""

    def __init__(self, look_up: Callable[[], Any]) -> None:
        self._look_up = look_up
        self._found: Any = None
        super().__init__(*_STAND_IN, method="agenttape")

    def get_frozen_credentials(self) -> Any:
        if ownership.only_replays():
            return credentials.ReadOnlyCredentials(*_STAND_IN, None)
        self._found = self._found or self._look_up()
        if self._found is None:
            raise exceptions.NoCredentialsError
        return self._found.get_frozen_credentials()

    def _normalize(self) -> None:
        """Nothing is held."""


def _current(name: str) -> property:
    """Return a property with what the credentials say now; what their constructor sets is not kept."""
    return property(lambda self: getattr(self.get_frozen_credentials(), name, None), lambda *_: None)


for _name in ("access_key", "secret_key", "token", "account_id"):
    setattr(_StandIn, _name, _current(_name))


def _loading(real: Callable[..., Any]) -> Callable[..., Any]:
    def load_credentials(self: Any) -> Any:
        if not ownership.only_replays():
            with ownership.aside():
                return real(self)
        for provider in self.providers:
            if provider.METHOD == "env" and (found := provider.load()) is not None:
                return found
        return _StandIn(functools.partial(load_credentials, self))

    return load_credentials


def _refreshing(real: Callable[..., Any]) -> Callable[..., Any]:
    def refresh(self: Any) -> None:
        if not ownership.only_replays():
            with ownership.aside():
                real(self)

    return refresh


def _freezing(real: Callable[..., Any]) -> Callable[..., Any]:
    def get_frozen_credentials(self: Any) -> Any:
        found = real(self)
        return credentials.ReadOnlyCredentials(*_STAND_IN, None) if found is None else found

    return get_frozen_credentials


_PATCHES = (
    Patch(credentials.CredentialResolver, "load_credentials", _loading),
    Patch(credentials.RefreshableCredentials, "_refresh", _refreshing),
    Patch(credentials.RefreshableCredentials, "get_frozen_credentials", _freezing),
)
