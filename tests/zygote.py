"""Child processes that run pytest, copied from one that has imported it: a start takes milliseconds, not half a second.

A copy has modules, arguments, environment, folder and streams as a new process would; only its imports are there. A
test that is about imports or the start of a process asks for the fixture `_afresh`.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.metadata
import io
import json
import os
import random
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.inner_pytest import OUTER, PLUGINS_NAMED, distributions

COMMANDS = ((sys.executable, "-m", "pytest"), (sys.executable, "-mpytest"))
_PACKAGE = Path(__file__).parent.parent / "pytest_agenttape"


class Zygote:
    """The process that copies are made of."""

    def __init__(self) -> None:
        self._connection, theirs = socket.socketpair()
        outside = {name: value for name, value in os.environ.items() if name not in OUTER}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=_PACKAGE.parent,
            env={**outside, **PLUGINS_NAMED, "PYTHONDONTWRITEBYTECODE": ""},  # children find the bytecode
        )
        theirs.close()
        assert _line(self._connection) == "ready"

    def start(self, arguments: Sequence[str], streams: Sequence[int], environment: dict[str, str]) -> Copy:
        """Run pytest with *arguments* in a copy, with the descriptors of its standard *streams*."""
        request = json.dumps({"arguments": arguments, "environment": environment, "folder": os.getcwd()}).encode()
        socket.send_fds(self._connection, [len(request).to_bytes(8, "big")], streams)
        self._connection.sendall(request)
        return Copy(int(_line(self._connection)), self._connection)

    def stop(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.wait()


class Copy:
    """A child process, as `subprocess.Popen` gives one."""

    stdin = None

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self._connection = connection
        self._status: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Return how it exited, when it has; raise `subprocess.TimeoutExpired` after so many seconds."""
        if self._status is None:
            self._connection.settimeout(timeout)
            try:
                self._status = int(_line(self._connection))
            except TimeoutError:
                raise subprocess.TimeoutExpired("pytest", timeout or 0) from None
            finally:
                self._connection.settimeout(None)
        return self._status

    def kill(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)


def _line(connection: socket.socket) -> str:
    text = b""
    while not text.endswith(b"\n"):
        text += connection.recv(1) or b"the process that copies are made of is gone\n"
    return text.decode().strip()


def popen_of(zygote: Zygote, real: Any) -> Any:
    """Return what starts a child for pytester: a copy where that can stand for it."""

    def popen(command: Sequence[Any], **options: Any) -> Any:
        words, stdout = tuple(map(str, command)), options.get("stdout", subprocess.PIPE)
        known = next((each for each in COMMANDS if words[: len(each)] == each), None)
        if known is None or stdout is subprocess.PIPE:
            return real(command, **options)
        reading, writing = os.pipe()
        if isinstance(options["stdin"], bytes):
            os.write(writing, options["stdin"])
        os.close(writing)
        path = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH", "")]))
        environment = {**os.environ, "PYTHONPATH": path}
        try:
            return zygote.start(
                words[len(known) :], [reading, stdout.fileno(), options["stderr"].fileno()], environment
            )
        finally:
            os.close(reading)

    return popen


# -- in the process itself


def main() -> None:
    connection = socket.socket(fileno=int(sys.argv[1]))
    _import_all()
    gc.freeze()
    connection.sendall(b"ready\n")
    while True:
        size, streams, _, _ = socket.recv_fds(connection, 8, 3)
        if not size:
            return
        request = json.loads(_read(connection, int.from_bytes(size, "big")))
        pid = os.fork()
        if pid == 0:
            connection.close()
            _become(request, streams)
            return
        for stream in streams:
            os.close(stream)
        connection.sendall(b"%d\n" % pid)
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _read(connection: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        parts.append(connection.recv(size))
        size -= len(parts[-1])
    return b"".join(parts)


def _import_all() -> None:
    """Import pytest, and all that the plugin does, in the form that pytest gives to plugins."""
    import pytest

    importlib.metadata.distributions = distributions  # type: ignore[assignment]  # of nothing but plugins
    folders = ("plugin/**/*.py", "boundaries/*.py")
    names = [
        ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts)
        for folder in folders
        for path in _PACKAGE.glob(folder)
    ]

    class All:
        def pytest_configure(self) -> None:
            for name in names:
                importlib.import_module(name)

    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(["--markers"], [All()])


def _become(request: dict[str, Any], streams: Sequence[int]) -> None:
    """Be the process that was asked for."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    random.seed()
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.path[0:1] = [request["folder"], *os.environ["PYTHONPATH"].split(os.pathsep)]
    sys.argv[1:] = request["arguments"]
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
