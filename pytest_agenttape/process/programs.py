"""Programs: while this guard is armed, whoever owns the calling code is asked before one is started.

It sees what Python starts: subprocess, asyncio, os.system, os.exec and their kin. Not what a library starts in C
(uvloop), nor the workers of multiprocessing, which run no boundary (`child_processes`).
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeAlias

from pytest_agenttape.errors import AgentTapeError, ProgramBlockedError
from pytest_agenttape.process import audit, child_processes
from pytest_agenttape.process.patching import Guard

# Modules that ask the platform what it is, and the programs that others ask.
_ASKING = frozenset({"platform", "ctypes.util", "uuid", "sysconfig", "_osx_support", "_aix_support", "distro.distro"})
_QUERIES = frozenset({"uname", "lscpu", "ldconfig", "lsb_release", "sw_vers", "getconf", "arch", "oslevel"})
_COMPILERS = frozenset({"gcc", "cc", "clang", "g++", "c++"})
_COMPILER_QUERY = re.compile(r"-print|-dump|--version$|-v$")
# What libraries ask of their own accord, to tell where they run: the module that asks, and its command lines.
_ASKED_BY_LIBRARIES = {
    module: re.compile(command)
    for module, command in {
        "sentry_sdk.utils": r"git rev-parse HEAD",
        "langsmith.env._git": r"git (?:rev-parse (?:HEAD|--is-inside-work-tree|--abbrev-ref HEAD|--show-toplevel)"
        r"|remote get-url [\w.-]+|log -1 --format=%\w+|status --porcelain"
        r"|describe --tags (?:--exact-match )?--always --dirty)",
        "langsmith.env._runtime_env": r"docker(?:-compose)? --version",
        "langsmith.utils": r"docker(?: compose|-compose) --version",
        "pydantic._internal._git": r"git (?:--help|rev-parse --short HEAD)",
        "hypothesis.internal.scrutineer": r"git rev-parse --show-toplevel",
        "git.cmd": r"git version",  # GitPython, when it is imported
    }.items()
}
_CANNOT_EXECUTE = 126  # the status of a shell for a program that it may not start
_PASSING_ON = frozenset(
    {"subprocess", "os", "asyncio", "anyio", "trio", "concurrent", "threading", "contextvars", "pty"}
)
# Sentry's wrappers of subprocess, by module and function, pass on what others start.
_WRAPPERS = frozenset({("sentry_sdk.integrations.stdlib", "sentry_patched_popen_init"), ("sentry_sdk.utils", "runner")})
_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh", "cmd"})
_SHELL_SYNTAX = re.compile(r"[;&|<>$`()\n*?{}]")


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is about to start.

    Attributes:
        name: What it is called, without its folder.
        path: Its path, or as much of it as was given.
        arguments: What follows its name.
        caller: The module that starts it.
    """

    name: str
    path: str
    arguments: tuple[str, ...] = ()
    caller: str = ""

    @property
    def is_query(self) -> bool:
        """Whether it only says what the platform is, or is asked by a library to tell where it runs."""
        if self.caller in _ASKING or self.name in _QUERIES:
            return True
        own = _ASKED_BY_LIBRARIES.get(self.caller)
        if own is not None and self.path == self.name and own.fullmatch(" ".join((self.name, *self.arguments))):
            return True
        return (
            self.name in _COMPILERS
            and bool(self.arguments)
            and all(_COMPILER_QUERY.match(each) for each in self.arguments)
        )

    def is_named(self, allowed: Iterable[str]) -> bool:
        """Return whether one of *allowed*, names or paths with wildcards, means it."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed for name in (self.name, self.path))


Decide: TypeAlias = Callable[[Program], None]

# Module globals that change, because what is started is the process's.
_decide: Decide | None = None


def install(decide: Decide) -> None:
    """Let *decide* judge programs; it raises to stop one."""
    global _decide
    _decide = decide


def blocked(program: Program, allowed: Iterable[str], test: str) -> ProgramBlockedError | None:
    """Return the error for a *program* that *test* must not start; None for one of those *allowed*.

    Its arguments may hold a secret, and are not shown.
    """
    if program.is_named(allowed):
        return None
    lines = [
        f"program {program.name} blocked: no program is started outside a recorded tool, in recording or in replay",
        f"    in        {test}",
    ]
    if program.caller:
        lines.append(f"    by        {program.caller}")
    lines += [
        "    record it @tool around the function that starts it; an MCP server: through MCP's stdio client",
        f'    allow it  allow_programs=["{program.name}"] on the marker or in agenttape.toml',
    ]
    return ProgramBlockedError("\n".join(lines), program=program.name)


# The hook ---------------------------------------------------------------------------------------------------------


def _check_popen(executable: Any, args: Any, *_: object) -> None:
    __tracebackhide__ = True
    _ask(executable, args)


def _check_path(path: Any, args: Any, *_: object) -> None:
    __tracebackhide__ = True
    _ask(path, args)


def _check_exec(path: Any, args: Any, *_: object) -> None:
    __tracebackhide__ = True
    try:
        _ask(path, args)
    except AgentTapeError as error:
        if not child_processes.is_fork:
            raise
        # What forked it, such as pty, expects to be replaced here; the error would go on to run the parent's tests.
        os.write(2, f"{error}\n".encode(errors="replace"))
        os._exit(_CANNOT_EXECUTE)


def _check_spawn(_mode: object, path: Any, args: Any, *_: object) -> None:
    __tracebackhide__ = True
    _ask(path, args)


def _check_command(command: Any, *_: object) -> None:
    __tracebackhide__ = True
    _ask("sh", ["sh", "-c", command])


def _check_file(path: Any, *_: object) -> None:
    __tracebackhide__ = True
    _ask(path, [path])


_CHECKS: audit.Checks = {
    "subprocess.Popen": _check_popen,
    "os.posix_spawn": _check_path,
    "os.exec": _check_exec,
    "os.spawn": _check_spawn,
    "os.system": _check_command,
    "os.startfile": _check_file,
}
_guard = Guard(lambda: audit.listen(_CHECKS), lambda: audit.ignore(_CHECKS))
arm, disarm = _guard.arm, _guard.disarm


def _ask(executable: Any, args: Any) -> None:
    __tracebackhide__ = True
    program = _program(executable, args)
    if _decide is not None and not program.is_query:
        _decide(program)


def _program(executable: Any, args: Any) -> Program:
    words = _split(_text(args)) if isinstance(args, str | bytes | os.PathLike) else [_text(each) for each in args or ()]
    path = _text(executable) if executable is not None else (words or [""])[0]
    words, path = _without_shell(words, path)
    name = "python" if path == sys.executable else _name(path)  # python3.12 is another one elsewhere
    return Program(name, path, tuple(words[1:]), _caller(sys._getframe(1)))


def _without_shell(words: list[str], path: str) -> tuple[list[str], str]:
    """Return the one program that a shell is asked to start; the shell itself where it is asked for more."""
    if _name(path) not in _SHELLS or len(words) < 3 or words[1].lower() not in ("-c", "/c"):
        return words, path
    command = " ".join(words[2:]) if words[1].lower() == "/c" else words[2]
    inner = [] if _SHELL_SYNTAX.search(command) else _split(command)
    return (inner, inner[0]) if inner and "=" not in inner[0] else (words, path)


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command, posix=os.name == "posix")
    except ValueError:  # a quote without its partner
        return []


def _name(path: str) -> str:
    name = os.path.basename(path.strip('"'))
    return name[:-4] if name.lower().endswith(".exe") else name


def _text(value: object) -> str:
    return os.fsdecode(value) if isinstance(value, str | bytes | os.PathLike) else str(value)


def _caller(frame: FrameType | None) -> str:
    """Return the module that starts a program: the first beyond those that only pass it on."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        passes_on = name.partition(".")[0] in _PASSING_ON or (name, frame.f_code.co_name) in _WRAPPERS
        if not passes_on and name not in (__name__, audit.__name__):
            return name
        frame = frame.f_back
    return ""
