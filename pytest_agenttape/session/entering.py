"""What a block heeds: the pytest run it is part of, and what records the same file in it."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pytest_agenttape import ownership
from pytest_agenttape.errors import AgentTapeWarning, ConfigError
from pytest_agenttape.matching.policy import replays_only
from pytest_agenttape.model import Mode
from pytest_agenttape.process.runs import flags_of_the_run
from pytest_agenttape.process.user_stack import user_traceback, warn
from pytest_agenttape.session.settings import Settings
from pytest_agenttape.settings.ci import is_ci
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.flags import Flags
from pytest_agenttape.settings.precedence import block_mode


def configuration_found() -> Config:
    """Return the configuration of a block that names none; in a pytest run, that of a test beside it.

    A test that works in a folder of its own, outside of the project, may have a configuration there.

    Raises:
        ConfigError: A file cannot be read, or a setting in it is invalid.
    """
    flags = flags_of_the_run()
    if flags is None:
        return Config.load()
    folder = _folder_of_the_test()
    is_above = folder is not None and folder.is_relative_to(Path.cwd())
    found = Config.load(folder if is_above else None)
    if found.source is None and not is_above and folder is not None:
        found = Config.load(folder)
    return found if flags.with_ini is None else flags.with_ini(found)


def _folder_of_the_test() -> Path | None:
    """Return the folder of the file that pytest runs or imports just now; None if the caller is not the user's code."""
    outermost = user_traceback()
    file = Path(outermost.tb_frame.f_code.co_filename) if outermost is not None else None
    return file.parent if file is not None and file.is_file() else None


def in_its_run(settings: Settings) -> Settings:
    """Return *settings* as a block has them in the pytest run, if there is one."""
    flags = flags_of_the_run()
    if flags is not None and flags.disable:
        return replace(settings, is_disabled=True)
    named, default = settings.named_mode, settings.config.default_mode
    try:
        mode = block_mode(named, default, flags, ci=is_ci(os.environ), file_exists=os.path.exists(settings.path))
    except ConfigError as error:
        return replace(settings, refusal=error)
    command = "" if flags is None or named is not None else f"{_run_of_the_test()} --agenttape-record"
    if mode is not settings.mode or command != settings.command:
        settings = replace(settings, mode=mode, command=command)
    return settings if flags is None else _under(flags, settings)


def _under(flags: Flags, settings: Settings) -> Settings:
    """Return *settings* as strict as the run is, unless the block says how strict it is, and with the run's rules."""
    if flags.strict and not (settings.names_strict or settings.config.strict):
        settings = replace(settings, config=settings.config.with_overrides(strict=True))
    imposed = flags.imposed_rules() if flags.imposed_rules is not None else None
    if imposed is None or not imposed.enabled:
        return settings
    return replace(settings, rules=settings.rules.merged(imposed))


def entering(settings: Settings) -> Settings:
    """Return what a block is entered with; it may have been made before the run began, as one that decorates.

    Raises:
        ConfigError: It would record in CI, or what another session records.
    """
    found = in_its_run(settings)
    if found.refusal is not None:
        raise found.refusal
    if not found.is_disabled and _records(found) and any(_is_lost_with(found, each) for each in ownership.opened()):
        raise ConfigError(
            f"{found.name} would record {found.path}, which another open session records, and one would overwrite the "
            "other; give each a cassette of its own, open one block around both, or use mode='new_episodes' for both"
        )
    return found


def warn_of_lost_calls(settings: Settings, calls: Iterable[object]) -> None:
    """Warn if an earlier block of the run has recorded other calls than *calls* into the same file."""
    flags = flags_of_the_run()
    if flags is None or settings.named_mode is not None or settings.mode not in (Mode.ALL, Mode.REFRESH):
        return
    file, made = os.path.abspath(settings.file), Counter(calls)
    before, flags.recorded[file] = flags.recorded.get(file), made
    if before is not None and before - made:
        warn(
            AgentTapeWarning(
                f"{settings.name}: another block of this run has recorded other calls into {settings.path}, which now "
                "holds those of the last block only; give each a cassette of its own"
            )
        )


def _is_lost_with(settings: Settings, other: object) -> bool:
    """Return whether of what a block and the session *other* record only the later is kept."""
    beside = getattr(other, "settings", None)
    if not isinstance(beside, Settings) or os.path.abspath(beside.file) != os.path.abspath(settings.file):
        return False
    return _records(beside) and not settings.mode is beside.mode is Mode.NEW_EPISODES


def _records(settings: Settings) -> bool:
    return not replays_only(settings.mode, has_cassette=os.path.exists(settings.file))


def _run_of_the_test() -> str:
    """Return the command that runs the test in which this is called, or all tests where pytest names none."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    is_found = os.path.isfile(test.partition("::")[0])  # a node id is relative to the rootdir
    return f"pytest {shlex.quote(test)}" if is_found else "pytest"
