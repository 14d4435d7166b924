"""Finding a class by its recorded name: among the modules already imported, through plain namespaces only."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType

from pytest_agenttape.errors import CassetteCorruptError


def class_name(cls: type) -> str:
    """Return the importable name of *cls*, ``pkg.module:Outer.Inner``."""
    return f"{cls.__module__}:{cls.__qualname__}"


def find_class(name: str) -> type:
    """Return the loaded class of that name.

    Raises:
        CassetteCorruptError: No module imported so far has a class of that name.
    """
    module, _, qualname = name.partition(":")
    found: object = sys.modules.get(module)
    if found is None:
        raise CassetteCorruptError(
            f"recorded type {name!r}: module {module!r} is not imported, and a cassette never imports one; "
            "import it in the test or in the module of the recorded function"
        )
    namespace = _module_namespace(found)
    for part in qualname.split("."):
        found = namespace.get(part)
        if not isinstance(found, type):
            raise CassetteCorruptError(
                f"recorded type {name!r} is not a class in the imported module {module!r}; "
                "if it was renamed or moved, record again with --agenttape-record"
            )
        namespace = vars(found)
    assert isinstance(found, type)  # split() yields at least one part
    return found


def is_findable(cls: type) -> bool:
    """Return whether its name leads back to *cls* itself: a class inside a function, or shadowed by another, is not."""
    try:
        return find_class(class_name(cls)) is cls
    except CassetteCorruptError:
        return False


def loaded_class(module: str, name: str) -> type | None:
    """Return a class of an optional library, or None while that library is not imported."""
    found = _module_namespace(sys.modules.get(module)).get(name)
    return found if isinstance(found, type) else None


def has_mark(cls: type, mark: str) -> bool:
    """Return whether *cls* or a base of it defines *mark*, without calling ``__getattr__``."""
    return any(mark in vars(base) for base in cls.__mro__)


def static_attribute(cls: type, name: str) -> object:
    """Return the value of *name* in the class body of *cls* or of a base, without running a descriptor."""
    for base in cls.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return None


def _module_namespace(module: object) -> Mapping[str, object]:
    # Not getattr: a module's own __getattr__ and lazy-module classes import on access.
    if not isinstance(module, ModuleType):
        return {}
    namespace: Mapping[str, object] = object.__getattribute__(module, "__dict__")
    return namespace
