"""The names by which users set something: ini keys, marker options, modes. Imports nothing, for every run loads it."""

from __future__ import annotations

from collections.abc import Mapping

MODES = ("none", "once", "new_episodes", "refresh", "all", "record")

MARKER_OPTIONS = (
    "cassette", "mode", "live", "frozen", "matchers", "freeze", "format", "strict", "redact", "tags", "allow_errors",
    "allow_hosts",
)  # fmt: skip

# The settings that an ini file may hold as `agenttape_<name>`, with the type that pytest reads them as.
INI_KEYS: Mapping[str, str] = {
    "cassette_dir": "string",
    "default_mode": "string",
    "default_matchers": "args",
    "format": "string",
    "freeze": "args",
    "env_snapshot": "args",
    "ignore_volatile_fields": "args",
    "assets_threshold_bytes": "int",
    "model_override": "string",
    "allow_hosts": "args",
    "strict": "bool",
    "block_network": "bool",
}
