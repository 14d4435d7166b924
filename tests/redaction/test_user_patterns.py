"""The user's own patterns are checked by a private part of the standard library, and refused where it is missing."""

from __future__ import annotations

import importlib.util
import re
import sys
from types import ModuleType

import pytest

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.redaction import user_patterns


def loaded_again() -> ModuleType:
    spec = importlib.util.find_spec(user_patterns.__name__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_this_python_has_what_patterns_are_checked_by() -> None:
    assert user_patterns.missing_names() == []
    assert list(user_patterns.bounded("ACME-[0-9]{8}").find("id ACME-12345678")) == [(3, 16)]


@pytest.mark.parametrize("name", ["_parser", "_constants"])
def test_without_a_private_module_only_the_patterns_are_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, f"re.{name}", None)
    monkeypatch.delattr(re, name)
    module = loaded_again()
    with pytest.raises(ConfigError, match=r"cannot be checked: .* not have re\._parser .*which 3\.11 to 3\.14 have"):
        module.bounded("ACME-[0-9]")


def test_without_a_private_name_the_patterns_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = loaded_again()
    monkeypatch.delattr(module.sre, "ATOMIC_GROUP")
    with pytest.raises(ConfigError, match=r"not have re\._constants\.ATOMIC_GROUP"):
        module.bounded("ACME-[0-9]")
