"""What an exception carried and no recording can hold: a stand-in that is there in replay, and refuses to be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn, Self

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import JSON
from pytest_agenttape.values._forms import MARKER, Stored, class_text

UNRECORDED = "unrecorded"


class Unrecorded:
    """Takes the place of what was not recorded; to use it in replay is an error that says so.

    Attributes:
        kind: The class of what was not recorded, as Python shows it.
        text: What it added to the text of its exception, if it did.
    """

    __slots__ = ("_place", "_refuse", "kind", "text")
    kind: str
    text: str | None
    _place: str
    _refuse: Callable[[AgentTapeError], object]

    def __init__(self, kind: str, text: str | None = None) -> None:
        _set(self, kind=kind, text=text, _place="the exception", _refuse=lambda error: error)

    def watch(self, place: str, refuse: Callable[[AgentTapeError], object]) -> None:
        """Name the *place* where it is, and call *refuse* with the error when it is used."""
        _set(self, _place=place, _refuse=refuse)

    def _fail(self, *_: object) -> NoReturn:
        error = AgentTapeError(
            f"{self._place}: {self.kind} could not be recorded, so nothing can be done with it in replay; "
            "let the exception carry plain data, or register a codec for the class"
        )
        self._refuse(error)
        raise error

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # asked by protocols such as copying, not by an agent
            raise AttributeError(name)
        self._fail()

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __repr__(self) -> str:
        return self.text or f"<{self.kind} that was not recorded>"

    __call__ = __bool__ = __len__ = __iter__ = __getitem__ = __contains__ = __eq__ = _fail
    __setattr__ = __setitem__ = __next__ = __lt__ = __le__ = __gt__ = __ge__ = __int__ = __float__ = __index__ = _fail
    __enter__ = __exit__ = __aenter__ = __aexit__ = __await__ = __aiter__ = _fail
    __hash__ = object.__hash__


def _set(stand_in: Unrecorded, **values: object) -> None:
    for name, each in values.items():
        object.__setattr__(stand_in, name, each)


def stored_stand_in(value: object, text: str | None = None) -> Stored:
    """Return what is stored in the place of *value*, which added *text* to the text of its exception."""
    if isinstance(value, Unrecorded):
        kind, text = value.kind, value.text
    else:
        kind = class_text(type(value))
    return {MARKER: UNRECORDED, "class": kind, **({} if text is None else {"text": text})}


def is_stand_in(stored: JSON) -> bool:
    """Return whether *stored* is in the place of what was not recorded."""
    return isinstance(stored, dict) and stored.get(MARKER) == UNRECORDED


def stand_in(stored: Stored) -> Unrecorded:
    """Return the stand-in for what was not recorded."""
    text = stored.get("text")
    return Unrecorded(str(stored.get("class")), None if text is None else str(text))


def watch_use(error: BaseException, refuse: Callable[[AgentTapeError], object]) -> None:
    """Call *refuse* with the error if something is used that *error* carried and that was not recorded."""
    for place, each in _stand_ins(error, type(error).__name__):
        each.watch(place, refuse)


def _stand_ins(error: BaseException, place: str) -> Iterator[tuple[str, Unrecorded]]:
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    carried = [(f".{name}", each) for name, each in vars(error).items()]
    carried += [(f".args[{at}]", each) for at, each in enumerate(error.args)]
    carried += [(f".exceptions[{at}]", each) for at, each in enumerate(members)]
    carried.append((".__cause__", error.__cause__))
    for step, each in carried:
        if isinstance(each, Unrecorded):
            yield place + step, each
        elif isinstance(each, BaseException) and len(place) < 200:  # it may carry itself
            yield from _stand_ins(each, place + step)
