"""The cassette, options and mode of each test, from markers, flags and settings."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest

from pytest_agenttape.boundaries import outside
from pytest_agenttape.cassettes import paths
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.matching.policy import replays_only
from pytest_agenttape.model import Mode
from pytest_agenttape.plugin.imposed_settings import imposed, policy_of
from pytest_agenttape.plugin.ini_keys import with_ini
from pytest_agenttape.plugin.marker import explicit_name, options_of
from pytest_agenttape.plugin.node_ids import address_of, siblings_of, split_id, without_parameter, without_repetition
from pytest_agenttape.plugin.options import flags_of, is_marked
from pytest_agenttape.plugin.pytest_privates import collected_with
from pytest_agenttape.plugin.report.workers import is_worker
from pytest_agenttape.redaction import RedactionRules
from pytest_agenttape.settings.ci import is_ci
from pytest_agenttape.settings.config import Config, RedactConfig
from pytest_agenttape.settings.options import Options
from pytest_agenttape.settings.precedence import effective_mode, resolve


@dataclass(frozen=True, slots=True)
class Claim:
    """The cassette of one test, and the options of its markers.

    Attributes:
        path: The cassette.
        options: The combined options of its markers.
        is_named: Whether a marker on the test names the cassette, so that other tests may use it too.
        folder: The folder of the test file.
        address: The argument that selects the test on a command line, in the directory where this run was started.
        owner: Who records it: the test, or the function whose parameter sets share it.
        also: Further cassettes, which are only replayed.
    """

    path: Path
    options: Options
    is_named: bool
    folder: Path
    address: str
    owner: str
    also: tuple[Path, ...] = ()

    @property
    def may_record(self) -> bool:
        """Whether the test may record its cassette: not one with faults, which happen in a replay alone."""
        return not self.options.faults


class Claims:
    """The claims of all marked tests of a run."""

    def __init__(self, config: pytest.Config) -> None:
        self._pytest_config = config
        self._configs: dict[Path, Config] = {}
        self._claims: dict[str, Claim] = {}
        self._users: Counter[Path] = Counter()
        self._beside: list[pytest.Item] = []  # the tests beside those of this run, selected or not
        self._recorded: set[Path] = set()  # in this run
        self._policy, self._policy_rules = policy_of(config)

    def add(self, items: Sequence[pytest.Item]) -> None:
        """Give each of *items* its cassette.

        Raises:
            UsageError: A marker cannot be used, or two tests would record one file.
        """
        siblings = siblings_of(items)
        for one in {item.parent: item for item in items}.values():
            self._beside += collected_with(one)
        problems: dict[str, list[str]] = {}
        for item in items:
            try:
                self._claims[item.nodeid] = self._claim(item, siblings)
            except ConfigError as error:
                problems.setdefault(str(error), []).append(item.nodeid)
        self._users = Counter(claim.path for claim in self._claims.values())
        lines = [f"{_first(nodeids)}: {text}" for text, nodeids in problems.items()] + self._collisions()
        if lines:
            raise pytest.UsageError("agenttape: " + "\n".join(lines))

    def __contains__(self, nodeid: str) -> bool:
        return nodeid in self._claims

    def of(self, nodeid: str) -> Claim | None:
        """Return the claim of a test; None if it has no marker."""
        return self._claims.get(nodeid)

    def users(self, path: Path) -> int:
        """Return how many tests claim the cassette at *path*."""
        return self._users[path]

    def note_recorded(self, path: Path) -> None:
        """Note that a test has recorded the cassette at *path*: others that share it add to it."""
        self._recorded.add(path)

    @property
    def paths(self) -> frozenset[Path]:
        """Every claimed cassette."""
        return frozenset(self._users)

    def take_boundaries(self) -> None:
        """Make boundaries of the functions that the configuration names, before any fixture can call them.

        Raises:
            ConfigError: A name is none of a function.
        """
        for config in self._configs.values():
            outside.take(config.taken)

    def paths_of_all(self) -> frozenset[Path]:
        """Return every claimed cassette, and those that tests beside them would claim, had they been selected."""
        unclaimed = [each for each in self._beside if each.nodeid not in self._claims and is_marked(each)]
        siblings = siblings_of(unclaimed)
        found = set(self._users)
        for each in unclaimed:
            with suppress(ConfigError):  # it would have failed with it
                found.add(self._claim(each, siblings).path)
        return frozenset(found)

    def settings(
        self, item: pytest.Item, claim: Claim, overrides: Config | Mapping[str, object] | None = None
    ) -> tuple[Config, Mode, RedactionRules]:
        """Return the settings of *item*; *overrides* come from its `agenttape_config` fixture.

        Raises:
            ConfigError: A setting is invalid, or would record in CI.
        """
        config = self._config_of(item, {} if overrides is None else overrides, claim.options)
        self._refuse_late_names(config, item, claim)
        mode = self._mode(claim.options, str(config.default_mode), claim.path)
        if claim.options.shared:
            mode = self._mode_of_shared(mode, claim)
        if self.users(claim.path) > 1 and not replays_only(mode, has_cassette=claim.path.exists()):
            recording = (each for each in self._claims.values() if each.path == claim.path and each.may_record)
            sharing = {each.owner: each for each in recording}
            if len(sharing) > 1:
                raise ConfigError(_collision(claim.path, sharing))
        return config, mode, _rules_of(config.redact, self._policy_rules)

    def cassettes_of(self, folder: Path) -> Path:
        """Return the folder with the cassettes of the tests in *folder*."""
        return paths.tests_folder(folder, self.config_at(folder).cassette_dir)

    def config_of(self, item: pytest.Item) -> Config:
        """Return the configuration of a marked test, as far as it is known before its session is open."""
        try:
            return self.settings(item, self._claims[item.nodeid])[0]
        except ConfigError:  # the test itself will fail with it
            return Config()

    def would_replay(self, item: pytest.Item) -> bool:
        """Return whether a marked test will make no live call, as far as is known before its session is open."""
        claim = self._claims[item.nodeid]
        try:
            _, mode, _ = self.settings(item, claim)
        except ConfigError:  # the test itself will fail with it
            return True
        return replays_only(mode, has_cassette=claim.path.exists())

    def _refuse_late_names(self, config: Config, item: pytest.Item, claim: Claim) -> None:
        known = self.config_at(item.path.parent)
        if claim.options.format is None and config.format != known.format == paths.format_of(claim.path):
            raise _too_late("format", config.format, "in the marker, ")
        if config is not known and config.cassette_dir not in (known.cassette_dir, Config().cassette_dir):
            raise _too_late("cassette_dir", str(config.cassette_dir))

    def _mode_of_shared(self, mode: Mode, claim: Claim) -> Mode:
        """Return the mode of a test that shares its cassette: it must not drop what another one has recorded.

        Raises:
            ConfigError: It would record in a worker of xdist, where others record the same file.
        """
        if replays_only(mode, has_cassette=claim.path.exists() and claim.path not in self._recorded):
            return mode
        if is_worker(self._pytest_config):
            raise ConfigError(
                f"all parameter sets of {claim.owner} share {claim.path.name}, and the workers of xdist would overwrite"
                " each other's recordings: record without -n"
            )
        return Mode.NEW_EPISODES if mode is Mode.REFRESH or claim.path in self._recorded else mode

    def _claim(self, item: pytest.Item, siblings: Mapping[str, Sequence[str]]) -> Claim:
        options = imposed(options_of(item), self._policy)
        form = options.format or self.config_at(item.path.parent).format
        name, depth = explicit_name(item)
        parameter, owner = split_id(item)[1], item.nodeid
        if options.shared:
            parameter, owner = None, without_parameter(item)
        same = siblings.get(without_parameter(item), ())
        folder = item.path.parent
        path = self._path(item, form, parameter, same)
        if not options.shared and (unrepeated := without_repetition(item)) != parameter:
            path = paths.found(path, self._path(item, form, unrepeated, same))  # one recording for all repetitions
        is_named = options.shared or (name is not None and depth is None)
        also = tuple(self._named(folder, each, None, form) for each in options.also)
        address = address_of(item)
        return Claim(path, options, is_named=is_named, folder=folder, address=address, owner=owner, also=also)

    def _path(self, item: pytest.Item, form: str, parameter: str | None, same: Sequence[str]) -> Path:
        name, depth = explicit_name(item)
        if name is not None and depth is None:
            return self._named(item.path.parent, name, parameter, form, same)
        home, test = self.cassettes_of(item.path.parent), split_id(item)[0]
        classes = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
        if name is None:
            path = paths.node_path(home, item.path.stem, classes, test, parameter, form, siblings=same)
            former = paths.former_path(home, item.path.stem, classes, item.name)
            return paths.found(*paths.in_any_format(path), former)
        path = paths.folder_path(home, name, classes[depth:], test, parameter, form, siblings=same)
        return paths.found(*_places_of(name, path))

    def _named(self, folder: Path, name: str, parameter: str | None, form: str, siblings: Sequence[str] = ()) -> Path:
        """Return the cassette that a marker names: with those of the tests in *folder*, or else in `cassette_dir`."""
        homes = (self.cassettes_of(folder), folder / self.config_at(folder).cassette_dir)
        named = (paths.explicit_path(each, name, parameter, form, siblings=siblings) for each in homes)
        return paths.found(*(place for path in named for place in _places_of(name, path)))

    def _mode(self, options: Options, default: str, path: Path) -> Mode:
        return effective_mode(
            flags_of(self._pytest_config),
            marker_mode=options.mode,
            config_mode=default,
            ci=is_ci(os.environ),
            file_exists=path.exists(),
        )

    def _config_of(self, item: pytest.Item, overrides: Config | Mapping[str, object], options: Options) -> Config:
        if isinstance(overrides, Config):
            base, layer = overrides, {}
        else:
            base, layer = self.config_at(item.path.parent), _mapping(overrides)
        said = resolve(self._policy, options.settings, layer)
        return options.redacting(base.with_overrides(**said) if said else base)

    def config_at(self, folder: Path) -> Config:
        """Return the settings of the ini keys and of the file in or above *folder*, with cassettes named by the policy.

        Raises:
            ConfigError: One is invalid.
        """
        if folder not in self._configs:
            names = {key: self._policy[key] for key in ("format", "cassette_dir") if key in self._policy}
            self._configs[folder] = with_ini(self._pytest_config, Config.load(folder)).with_overrides(**names)
        return self._configs[folder]

    def _collisions(self) -> list[str]:
        claims = {claim.owner: claim for claim in self._claims.values() if self._would_record(claim)}
        found = paths.collisions((claim.path, owner) for owner, claim in claims.items())
        return [_collision(path, {each: claims[each] for each in owners}) for path, owners in found.items()]

    def _would_record(self, claim: Claim) -> bool:
        if not claim.may_record:
            return False
        try:
            default = str(self.config_at(claim.folder).default_mode)
            mode = self._mode(claim.options, default, claim.path)
            return not replays_only(mode, has_cassette=False)
        except ConfigError:  # the test itself will fail with it
            return False


def _places_of(name: str, path: Path) -> tuple[Path, ...]:
    """Return where the cassette *name* may be that is to be at *path*; an extension in the name says its format."""
    return (path,) if paths.split_extension(name)[1] else paths.in_any_format(path)


@lru_cache(maxsize=16)  # the same for nearly all tests of a run
def _rules_of(redact: RedactConfig, policy: RedactionRules) -> RedactionRules:
    return RedactionRules.of(redact).merged(policy)


def _collision(path: Path, owners: Mapping[str, Claim]) -> str:
    first = next(iter(owners.values()))
    return (
        f"{len(owners)} tests would record the same cassette, {path}: {', '.join(owners)}; "
        "give each its own name, or set mode='none' to share it\n"
        f"  to share it, record it from one of them: pytest {first.address} --agenttape-record"
    )


def _first(nodeids: Sequence[str]) -> str:
    return nodeids[0] if len(nodeids) == 1 else f"{nodeids[0]} and {len(nodeids) - 1} more"


def _too_late(key: str, value: str, otherwise: str = "") -> ConfigError:
    return ConfigError(
        f"{key} = {value!r}: the fixture agenttape_config runs with the test, but its cassette is named before that; "
        f"set {key} {otherwise}as an ini key or in the configuration file"
    )


def _mapping(given: object) -> dict[str, object]:
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"the fixture agenttape_config must return a mapping of settings or a Config, found {given!r}"
        )
    settings = resolve(given)
    try:
        Config.from_mapping(settings)
    except ConfigError as error:
        raise ConfigError(f"the fixture agenttape_config: {error}") from None
    return settings
