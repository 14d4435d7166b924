"""The types that users see; mypy checks the same file with the package."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import pytest_agenttape
from pytest_agenttape.model import KINDS, MATCHERS, Mode, ModeName
from pytest_agenttape.settings.words import MODES

USER_PROJECT = Path(__file__).with_name("user_project.py")


def test_the_user_project_uses_every_public_name() -> None:
    names = {node.id for node in ast.walk(ast.parse(USER_PROJECT.read_text())) if isinstance(node, ast.Name)}
    assert {*pytest_agenttape.__all__} - {"__version__"} <= names


def test_pyright_finds_nothing() -> None:
    pytest.importorskip("basedpyright")
    pyright = [sys.executable, "-m", "basedpyright", "--level", "error", "--pythonpath", sys.executable]
    done = subprocess.run([*pyright, str(USER_PROJECT)], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.startswith("0 errors"), done.stdout


def test_the_literals_are_the_words_that_are_accepted() -> None:
    assert get_args(ModeName) == MODES == (*Mode, "record")
    assert KINDS == ("llm", "tool", "retrieval", "memory_read", "memory_write", "http")
    assert MATCHERS == ("ignore_volatile", "exact", "ordered", "sequential")
