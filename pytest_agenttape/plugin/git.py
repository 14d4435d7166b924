"""What git knows of a folder: its revisions, and the files in them. Reads only, starts no hook, asks no network."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_agenttape.errors import ConfigError

# Neither a hook nor a program of the repository's configuration is started, and nothing is fetched.
_SAFELY = ("--no-pager", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never")
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
_REGULAR = ("100644", "100755")


class GitError(ConfigError):
    """Git is not there, or does not have what was asked for."""


@dataclass(frozen=True, slots=True)
class Head:
    """The commit that is checked out, its branch (empty if there is none), and whether files have changed since."""

    commit: str
    branch: str
    has_changed: bool


@dataclass(frozen=True, slots=True)
class Repository:
    """The part of a git repository that lies in and below *folder*; all paths are relative to that."""

    folder: Path

    def commit(self, revision: str) -> str:
        """Return the id of the commit that *revision* names.

        Raises:
            GitError: There is none, or no repository.
        """
        self._git("rev-parse", "--git-dir")
        try:
            if revision.startswith("-"):  # never an option
                raise GitError("a revision does not begin with '-'")
            return self._git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
        except GitError:
            raise GitError(
                f"git knows no revision {revision!r} in {self.folder}; if this is a shallow clone, fetch it first"
            ) from None

    def head(self) -> Head | None:
        """Return what is checked out; None if nothing has been committed.

        Raises:
            GitError: There is no repository.
        """
        lines = self._git("status", "--porcelain=v2", "--branch", "--untracked-files=no").decode(errors="replace")
        about = [line for line in lines.splitlines() if line.startswith("# ")]
        said = dict(line[2:].split(" ", 1) for line in about)
        commit, branch = said.get("branch.oid", ""), said.get("branch.head", "")
        if not commit or commit.startswith("("):
            return None
        return Head(commit, "" if branch.startswith("(") else branch, len(about) < len(lines.splitlines()))

    def common_ancestor(self, one: str, other: str) -> str:
        """Return the id of the last commit that two commits have in common.

        Raises:
            GitError: There is none.
        """
        try:
            return self._git("merge-base", self.commit(one), self.commit(other)).decode().strip()
        except GitError as error:
            if "git knows no" in str(error):
                raise
            raise GitError(
                f"{one} and {other} have no commit in common; if this is a shallow clone, "
                "fetch its history first: git fetch --unshallow"
            ) from None

    def files_of(self, commit: str) -> Mapping[Path, str]:
        """Return the files of a commit, each with the id of its content; links and submodules are left out."""
        found = {}
        for entry in _split(self._git("ls-tree", "-r", "-z", commit)):
            about, _, name = entry.partition(b"\t")
            mode, _, content = about.decode().split()
            if mode in _REGULAR:
                found[Path(os.fsdecode(name))] = content
        return found

    def files_here(self) -> Sequence[Path]:
        """Return the files of the working tree that git tracks or would add."""
        listed = _split(self._git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"))
        found = (Path(os.fsdecode(each)) for each in listed)
        return [each for each in found if not os.path.islink(self.folder / each) and os.path.isfile(self.folder / each)]

    def contents(self, ids: Sequence[str]) -> Sequence[bytes]:
        """Return the contents with these *ids*, in their order.

        Raises:
            GitError: One is not there, as in a partial clone.
        """
        answer = memoryview(self._git("cat-file", "--batch", asked="".join(f"{each}\n" for each in ids).encode()))
        found, position = [], 0
        for each in ids:
            end = position + bytes(answer[position : position + 200]).index(b"\n")
            _, _, size = bytes(answer[position:end]).decode().partition(" blob ")
            if not size:
                raise GitError(f"the content {each} is not in this clone; fetch it first")
            position = end + 1 + int(size)
            found.append(bytes(answer[end + 1 : position]))
            position += 1  # the newline after it
        return found

    def _git(self, *arguments: str, asked: bytes = b"") -> bytes:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_TRACE")}
        try:
            done = subprocess.run(
                ["git", *_SAFELY, *arguments],
                cwd=self.folder,
                env={**environment, **_ENVIRONMENT},
                input=asked,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            raise GitError("git is not installed") from None
        if done.returncode:
            said = " ".join(done.stderr.decode("utf-8", "replace").split()) or f"status {done.returncode}"
            raise GitError(f"git {arguments[0]}: {said}")
        return done.stdout


def _split(output: bytes) -> list[bytes]:
    return [each for each in output.split(b"\0") if each]
