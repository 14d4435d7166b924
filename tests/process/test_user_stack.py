"""Whose code is running: the user's, a library's, or ours."""

from __future__ import annotations

import os
import sysconfig

import pytest

from pytest_agenttape.process import user_stack


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("/home/ada/shop/agent.py", True),
        ("/home/ada/site-packages.py", True),
        (os.path.join(sysconfig.get_path("purelib"), "openai", "_client.py"), False),
        ("/home/ada/.local/lib/python3.13/site-packages/openai/_client.py", False),
        ("/usr/lib/python3/dist-packages/requests/api.py", False),
        (os.__file__, False),
        (user_stack.__file__, False),
        ("<string>", False),
    ],
)
def test_code_is_the_users_unless_it_is_installed_or_ours(filename: str, expected: bool) -> None:
    """Nor is what the interpreter below a virtual environment has installed, or `pip install --user`."""
    filename = filename.replace("/", os.sep)

    assert user_stack.is_users(filename) is expected
