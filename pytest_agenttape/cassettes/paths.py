"""Paths of cassettes: derived from a test or from the user's name for one, and safe on every file system."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.model import DEFAULT_FORMAT

_PLAIN = {".yaml": "yaml", ".yml": "yaml", ".json": "json"}
_COMPRESSED = ".gz"
FORMAT_OF_EXTENSION = {**_PLAIN, **{f"{each}{_COMPRESSED}": form for each, form in _PLAIN.items()}}
EXTENSIONS = tuple(FORMAT_OF_EXTENSION)
ASSETS_SUFFIX = ".assets"
DERIVED_SUFFIX = ".derived"

_MAX_CHARACTERS = 100
_MAX_BYTES = 200
_DIGITS = 8
_UNSAFE = frozenset('<>:"|?*\\/')
_DASHED = re.compile(r"""[<>?%*:|"'/\\]""")  # what pytest-recording replaces by a dash
_RESERVED = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"]
    + [f"{port}{n}" for port in ("COM", "LPT") for n in (*"0123456789", "¹", "²", "³")]
)
# pytest writes every non-ASCII character of a parameter id in this form.
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U(00(?:0[0-9a-f]|10)[0-9a-f]{4}))|\\\\")


def tests_folder(test_dir: Path, cassette_dir: Path) -> Path:
    """Return the folder with the cassettes of the tests in *test_dir*.

    A relative *cassette_dir* is a folder in *test_dir*. An absolute one holds the folders of all tests, as they lie
    below the nearest common parent.
    """
    if not cassette_dir.is_absolute():
        return test_dir / cassette_dir
    cassette_dir = Path(os.path.normpath(cassette_dir))
    above = next(each for each in cassette_dir.parents if test_dir.is_relative_to(each) or each == each.parent)
    return cassette_dir / (test_dir.relative_to(above) if test_dir.is_relative_to(above) else test_dir.name)


def node_path(
    folder: Path,
    module_stem: str,
    class_names: Sequence[str],
    test_name: str,
    param_id: str | None,
    format: str,  # noqa: A002  # the word of every other entry point
    *,
    siblings: Iterable[str] = (),
) -> Path:
    """Return the path in *folder* of the cassette of a test that names none: ``<module>/<Class.test[param]>.yaml``.

    A name that cannot be a file name as it is gets digits of a digest of the original, so two tests never share
    a file. *siblings* are the ids of all parameter sets of the test, selected or not, in their order: of those that
    differ only by case, the first keeps the clean name.
    """
    own = _own_name(module_stem, class_names, test_name, param_id, siblings)
    return folder / _spelled(module_stem, module_stem) / f"{own}.{format}"


def explicit_path(
    folder: Path,
    name: str,
    param_id: str | None,
    format: str,  # noqa: A002  # the word of every other entry point
    *,
    siblings: Iterable[str] = (),
) -> Path:
    """Return the path in *folder* of the cassette that a marker on a test names; a parametrized test gets ``[id]``.

    An extension in *name* decides the format.

    Raises:
        ConfigError: *name* leaves the folder, or cannot be a file name on every system.
    """
    *folders, last = check_name(name)
    stem, extension = split_extension(last)
    if param_id is not None:
        stem = _with_parameter(stem, param_id, f"{name}[{param_id}]", siblings)
    return Path(folder, *folders, stem + (extension or f".{format}"))


def folder_path(
    folder: Path,
    name: str,
    class_names: Sequence[str],
    test_name: str,
    param_id: str | None,
    format: str,  # noqa: A002  # the word of every other entry point
    *,
    siblings: Iterable[str] = (),
) -> Path:
    """Return the path in *folder* for a test whose class or module has the marker: *name* is a folder of its own.

    *class_names* are the classes inside the marked one, outermost first; an extension in *name* decides the format.

    Raises:
        ConfigError: *name* leaves the folder, or cannot be a folder name on every system.
    """
    *folders, last = check_name(name)
    stem, extension = split_extension(last)
    own = _own_name(name, class_names, test_name, param_id, siblings)
    return Path(folder, *folders, stem, own + (extension or f".{format}"))


def found(path: Path, *others: Path) -> Path:
    """Return *path*; if there is no such file, the first of its compressed form and *others* that there is."""
    candidates = (path, path.with_name(f"{path.name}{_COMPRESSED}"), *others)
    return next(filter(os.path.exists, candidates), path)


def in_any_format(path: Path) -> tuple[Path, ...]:
    """Return where the cassette may be that is written at *path* if it is new: in any format, if it exists."""
    stem, extension = split_extension(path.name)
    return tuple(path.with_name(f"{stem}{each}") for each in dict.fromkeys((extension, *EXTENSIONS)))


def former_path(folder: Path, module_stem: str, class_names: Sequence[str], name: str) -> Path:
    """Return the path that pytest-recording gives to the cassette of the test *name*, parameters included."""
    own = ".".join((*class_names[-1:], name))
    return folder / module_stem / f"{_DASHED.sub('-', own)}.yaml"


def session_path(
    name: str | os.PathLike[str],
    cassette_dir: Path,
    format: str,  # noqa: A002  # the word of every other entry point
    *,
    is_below: bool = False,
    exists: Callable[[Path], bool] = os.path.exists,
) -> Path:
    """Return the path that `use_cassette` means: *name* in *cassette_dir*, or an absolute `Path` as it is.

    With a folder (``./`` too) and an extension, *name* is a path from the working directory, unless it *is_below* in
    any case.
    Without an extension, an existing cassette in any format takes precedence over a new one.

    Raises:
        ConfigError: *name* leaves *cassette_dir*, or cannot be a file name on every system.
    """
    if isinstance(name, str) and Path(name).is_absolute():
        raise ConfigError(
            f"cassette name {name!r} is absolute; names are relative to cassette_dir, pass a Path for any other place"
        )
    path = Path(name) if isinstance(name, os.PathLike) else None
    if path and path.is_absolute() and path.name:
        wanted = path
    else:
        text: object = path.as_posix() if path else name
        may_be_path = not is_below and isinstance(text, str) and bool(split_extension(text)[1])
        starts_here = may_be_path and str(text).startswith("./")
        parts = check_name(str(text)[2:] if starts_here else text)
        is_path = starts_here or (may_be_path and len(parts) > 1)
        wanted = Path(*parts) if is_path else cassette_dir.joinpath(*parts)
    if split_extension(wanted.name)[1]:
        return wanted
    new = wanted.with_name(f"{wanted.name}.{format}")
    return next(filter(exists, in_any_format(new)), new)


def check_name(name: object) -> tuple[str, ...]:
    """Return the folders and the last part of a cassette name.

    Raises:
        ConfigError: It is empty, absolute, contains ``..``, or is not a file name on every system.
    """
    if not isinstance(name, str):
        raise ConfigError(f"a cassette name must be a string, found {name!r}")
    parts = tuple(unicodedata.normalize("NFC", name).split("/"))
    for part in (*parts, split_extension(parts[-1])[0]):
        problem = _problem(part)
        if problem:
            raise ConfigError(f"cassette name {name!r} {problem}; use a name such as 'weather' or 'travel/weather'")
    return parts


def split_extension(name: str) -> tuple[str, str]:
    """Return the file name *name* without its cassette extension, and that extension or ``""``."""
    stem, extension = os.path.splitext(name)
    if extension.lower() == _COMPRESSED:
        stem, inner = os.path.splitext(stem)
        extension = f"{inner}{extension}"
    return (stem, extension) if extension.lower() in FORMAT_OF_EXTENSION else (name, "")


def format_by_name(name: str) -> str | None:
    """Return the format that the extension of the file name *name* means; None if it is not that of a cassette."""
    return FORMAT_OF_EXTENSION.get(split_extension(name)[1].lower())


def format_of(path: Path) -> str:
    """Return the format that the extension of *path* means; an unknown extension means YAML."""
    return format_by_name(path.name) or DEFAULT_FORMAT


def is_compressed(path: Path) -> bool:
    """Return whether the cassette at *path* is compressed by gzip."""
    return path.suffix.lower() == _COMPRESSED and format_by_name(path.name) is not None


def derived_path(path: Path) -> Path:
    """Return where a partly live run of the cassette at *path* is written."""
    stem, extension = split_extension(path.name)
    return path.with_name(f"{stem}{DERIVED_SUFFIX}{extension or '.yaml'}")


def assets_dir(path: Path) -> Path:
    """Return the folder that holds the large bodies of the cassette at *path*."""
    return path.with_name(f"{split_extension(path.name)[0]}{ASSETS_SUFFIX}")


def collisions(claims: Iterable[tuple[Path, str]]) -> dict[Path, tuple[str, ...]]:
    """Return the files that several owners claim, even in different case, each with its owners."""
    claimed: dict[str, tuple[Path, list[str]]] = {}
    for path, owner in claims:
        _, owners = claimed.setdefault(_same_file_key(str(path)), (path, []))
        if owner not in owners:
            owners.append(owner)
    return {path: tuple(owners) for path, owners in claimed.values() if len(owners) > 1}


def _own_name(
    where: str, class_names: Sequence[str], test_name: str, param_id: str | None, siblings: Iterable[str]
) -> str:
    plain = ".".join((*class_names, test_name))
    identity = "::".join((where, *class_names, test_name))
    if param_id is None:
        return _spelled(plain, identity)
    return _with_parameter(plain, param_id, f"{identity}[{param_id}]", siblings)


def _with_parameter(stem: str, param_id: str, identity: str, siblings: Iterable[str]) -> str:
    name = f"{stem}[{_unescaped(param_id)}]"
    return _spelled(name, identity, taken=_is_taken(param_id, siblings))


def _is_taken(param_id: str, siblings: Iterable[str]) -> bool:
    """Return whether an earlier parameter set has the same file name apart from case."""
    wanted = _same_file_key(_unescaped(param_id))
    first = next((each for each in siblings if _same_file_key(_unescaped(each)) == wanted), param_id)
    return first != param_id


def _spelled(name: str, identity: str, *, taken: bool = False) -> str:
    """Return *name* if it is a safe file name, else its readable part with digits of a digest of *identity*."""
    safe = _safe(name)
    if safe == name and _fits(name) and not taken:
        return name
    # surrogates of undecodable file names are part of an identity too
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{_shortened(safe, _DIGITS + 1)}-{digest}"


def _safe(name: str) -> str:
    composed = unicodedata.normalize("NFC", name)
    kept = "".join("_" if each in _UNSAFE or not each.isprintable() else each for each in composed).rstrip(". ")
    return f"_{kept}" if not kept or _is_reserved(kept) else kept


def _shortened(name: str, room: int) -> str:
    cut = name[: _MAX_CHARACTERS - room]
    while len(cut.encode()) > _MAX_BYTES - room:
        cut = cut[:-1]
    return cut


def _fits(name: str) -> bool:
    return len(name) <= _MAX_CHARACTERS and len(name.encode()) <= _MAX_BYTES


def _is_reserved(name: str) -> bool:
    """Return whether *name* is a device on Windows, where whatever follows the first dot is ignored."""
    return name.partition(".")[0].rstrip().upper() in _RESERVED


def _problem(part: str) -> str | None:
    """Return why *part* cannot be a file or folder name on every system; None if it can."""
    if not part:
        return "has an empty part, or starts or ends with a slash"
    if part in (".", ".."):
        return f"contains {part!r}, which leaves or repeats a folder"
    unsafe = next((each for each in part if each in _UNSAFE or not each.isprintable()), None)
    if part in FORMAT_OF_EXTENSION:
        return "is only an extension"
    if unsafe is not None:
        return f"contains {unsafe!r}, which cannot be part of a file name on every system"
    if part[-1] in ". ":
        return "has a part that ends with a dot or a space, which Windows drops"
    if _is_reserved(part):
        return f"contains {part!r}, which is a device on Windows"
    return None if _fits(part) else "has a part that is too long for a file name"


def _unescaped(param_id: str) -> str:
    return _ESCAPE.sub(_character, param_id)


def _character(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    return chr(int(code, 16)) if code else "\\"


def _same_file_key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
