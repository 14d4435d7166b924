"""What the tests of sessions have in common."""

from __future__ import annotations

import importlib

# Otherwise an in-process inner run would import these and drop them again, with their library patches.
for _name in ("httpcore", "requests"):
    importlib.import_module(f"pytest_agenttape.transports.{_name}")
