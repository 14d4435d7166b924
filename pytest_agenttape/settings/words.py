"""The names of settings: ini keys, marker options, modes. Imports nothing, because every run loads it."""

from __future__ import annotations

from collections.abc import Mapping

MODES = ("none", "once", "new_episodes", "refresh", "all", "record")

MARKER_OPTIONS = (
    "cassette", "mode", "live", "frozen", "repeats", "matchers", "freeze", "format", "strict", "redact", "tags",
    "allow_errors", "allow_hosts", "ignore_hosts", "allow_programs", "match_headers", "also", "shared",
    "max_age", "on_stale", "faults",
)  # fmt: skip

# The settings allowed in an ini file as `agenttape_<name>`, each with its pytest ini type and its help text.
INI_KEYS: Mapping[str, tuple[str, str]] = {
    "cassette_dir": ("string", "Folder of the cassettes, of tests too."),
    "default_mode": ("string", "Record mode if no flag and no marker sets one."),
    "default_matchers": ("args", "Matchers, tried in turn."),
    "before_record_request": ("args", "Functions (module:function) that may change or drop a request."),
    "before_record_response": ("args", "Functions (module:function) that may change or drop a live answer."),
    "repeats": ("args", "Kinds, boundary names or hosts whose last recording is served again and again."),
    "format": ("string", "Format of new cassettes: yaml or json."),
    "freeze": ("args", "What is pinned while a test runs: clock, uuid, random."),
    "env_snapshot": ("args", "Environment variables to warn about if they differ from the recording."),
    "ignore_volatile_fields": (
        "args",
        "More headers, query parameters or body paths that matching ignores.",
    ),
    "tools": ("args", "Import paths of functions that are tools although nothing marks them, such as shop.tools.*."),
    "retrieval": ("args", "Import paths of functions that are retrievals."),
    "memory_read": ("args", "Import paths of functions that read a memory."),
    "memory_write": ("args", "Import paths of functions that write a memory."),
    "match_headers": ("args", "More request headers that matching compares."),
    "match_base_url": ("bool", "Whether matching compares scheme, host and port of LLM calls."),
    "drop_headers": ("args", "Response headers that are not recorded, such as x-ratelimit-*."),
    "assets_threshold_bytes": ("int", "Payloads larger than this go to NAME.assets/."),
    "model_override": ("string", "Model that live LLM calls are sent to."),
    "allow_hosts": ("args", "Hosts that may be connected to during replay."),
    "ignore_hosts": ("args", "Hosts that are never recorded: calls to them are real in every mode."),
    "telemetry_hosts": ("args", "Hosts whose requests are answered, neither sent nor recorded."),
    "allow_programs": ("args", "Programs that may be started outside of a recorded tool."),
    "max_age": ("string", "Age from which a recording counts as stale, such as 30d."),
    "on_stale": ("string", "What a stale recording leads to: warn or fail."),
    "strict": ("bool", "Fail on unplayed interactions and orphans."),
    "block_network": ("bool", "Whether connections that leave the machine fail during replay."),
}

# What vcrpy and pytest-recording call it, and what it is here: the setting, and the option of the marker if it differs.
OF_VCRPY: Mapping[str, str] = {
    "allow_playback_repeats": "repeats",
    "cassette_library_dir": "cassette_dir",
    "decode_compressed_response": "always on",
    "drop_unused_requests": "what --snapshot-update does",
    "filter_headers": "on for known secrets, redact for others",
    "filter_post_data_parameters": "on for known secrets, redact for others",
    "filter_query_parameters": "on for known secrets, redact for others",
    "ignore_localhost": "ignore_hosts",
    "match_on": "default_matchers, on a marker matchers",
    "record_mode": "default_mode, on a marker mode",
    "record_on_exception": "always off: a failed test keeps the old cassette",
    "serializer": "format",
}


def of_vcrpy(name: str) -> str:
    """Return what a word of vcrpy is here, as a sentence; empty for any other word."""
    return f"Here vcrpy's {name} is {OF_VCRPY[name]}." if name in OF_VCRPY else ""
