"""The names by which users set something: ini keys, marker options, modes. Imports nothing, for every run loads it."""

from __future__ import annotations

from collections.abc import Mapping

MODES = ("none", "once", "new_episodes", "refresh", "all", "record")

MARKER_OPTIONS = (
    "cassette", "mode", "live", "frozen", "matchers", "freeze", "format", "strict", "redact", "tags", "allow_errors",
    "allow_hosts",
)  # fmt: skip

# The settings that an ini file may hold as `agenttape_<name>`, each with the type that pytest reads it as, and a help.
INI_KEYS: Mapping[str, tuple[str, str]] = {
    "cassette_dir": ("string", "Folder of the cassettes that use_cassette names."),
    "default_mode": ("string", "Record mode where no flag and no marker names one."),
    "default_matchers": ("args", "Matchers, tried in turn."),
    "format": ("string", "Format of new cassettes: yaml or json."),
    "freeze": ("args", "What is pinned while a test runs: clock, uuid, random."),
    "env_snapshot": ("args", "Environment variables whose drift is warned about."),
    "ignore_volatile_fields": (
        "args",
        "Further headers, query parameters or body paths that matching leaves out.",
    ),
    "assets_threshold_bytes": ("int", "Payloads larger than this go to NAME.assets/."),
    "model_override": ("string", "Model that live LLM calls are sent to."),
    "allow_hosts": ("args", "Hosts that may be connected to during replay."),
    "strict": ("bool", "Fail on unplayed interactions and orphans."),
    "block_network": ("bool", "Whether connections that leave the machine fail during replay."),
}
