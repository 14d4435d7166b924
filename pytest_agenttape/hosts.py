"""Host names: the address a name stands for, whether it is this machine, whether it is allowed."""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

from pytest_agenttape.errors import ConfigError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*):(?P<port>\d{1,5})")
_HOST_NAME = re.compile(r"\*|(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})


@functools.lru_cache(maxsize=256)
def is_local(host: str) -> bool:
    """Return whether a connection to *host* stays on this machine: loopback, or the unspecified address."""
    name = plain_name(host)
    if name in ("", *_LOCAL_NAMES) or name.endswith(".localhost"):
        return True
    address = address_of(name)
    if address is None:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def plain_name(host: str) -> str:
    """Return *host* in the form used for comparison: lower case, ASCII, no brackets, no trailing dot."""
    name = host.strip().removeprefix("[").removesuffix("]").removesuffix(".").lower()
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        return name


def address_of(name: str) -> Address | None:
    """Return the address that *name* spells, including old forms such as 127.1 and 0x7f000001; None if it is a name."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        pass
    if not re.fullmatch(r"[0-9a-fx.]*[0-9][0-9a-fx.]*", name):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(name))
    except (OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class HostRule:
    """One entry of a list of hosts: a name, ``*.`` and a name, an address or a network; optionally with a port."""

    name: str = ""
    network: Network | None = None
    port: int | None = None

    def allows(self, host: str, port: int | None) -> bool:
        """Return whether this rule allows a connection to *host*; *port* is None when only its name is looked up."""
        if self.port is not None and port is not None and port != self.port:
            return False
        if self.network is not None:
            address = address_of(plain_name(host))
            return address is not None and address in self.network
        name = plain_name(host)
        if self.name.startswith("*"):
            return name.endswith(self.name[1:])
        return name == self.name


def host_rules(entries: Iterable[str] | str) -> tuple[HostRule, ...]:
    """Return the rules that *entries* stand for.

    Raises:
        ConfigError: An entry is not a host.
    """
    return tuple(map(_rule, [entries] if isinstance(entries, str) else entries))


def checked_hosts(entries: tuple[str, ...], *words: str) -> tuple[str, ...]:
    """Return *entries*, each of which is a host or one of *words*.

    Raises:
        ConfigError: One is neither.
    """
    host_rules(each for each in entries if each not in words)
    return entries


def is_allowed(host: str, port: int | None, rules: Iterable[HostRule]) -> bool:
    """Return whether one of *rules* allows a connection to *host*."""
    return any(rule.allows(host, port) for rule in rules)


def _rule(entry: object) -> HostRule:
    text = entry.strip() if isinstance(entry, str) else ""
    found = _HOST_AND_PORT.fullmatch(text)
    port = int(found["port"]) if found else None
    if port is not None and not 0 < port < 65536:
        raise ConfigError(f"{entry!r} has no valid port")
    name = plain_name(found["host"] if found else text)
    if "/" in name or address_of(name) is not None:
        try:
            return HostRule(network=ipaddress.ip_network(address_of(name) or name), port=port)
        except ValueError:
            raise _bad_entry(entry) from None
    if not _HOST_NAME.fullmatch(name) or ".." in name:
        raise _bad_entry(entry)
    return HostRule(name=name, port=port)


def _bad_entry(entry: object) -> ConfigError:
    return ConfigError(
        f"{entry!r} is not a host. Valid: a name (api.example.com), *.example.com, an address, "
        "a network (10.0.0.0/8), each optionally with a port (api.example.com:443); no scheme, no path"
    )


def is_url_allowed(url: str, rules: tuple[HostRule, ...]) -> bool:
    """Return whether one of *rules* names the host of *url*."""
    if not rules:
        return False
    parts = urlsplit(url)
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:  # out of range: the request itself will fail
        port = None
    return is_allowed(parts.hostname or "", port, rules)
