"""What the name of a host says: which address it spells, and whether it is this machine."""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})


@functools.lru_cache(maxsize=256)
def is_local(host: str) -> bool:
    """Tell whether connecting to *host* stays on this machine: loopback, or the unspecified address."""
    name = plain_name(host)
    if name in ("", *_LOCAL_NAMES) or name.endswith(".localhost"):
        return True
    address = address_of(name)
    if address is None:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def plain_name(host: str) -> str:
    """Return *host* in the one form that is compared: lower case, ASCII, no brackets, no final dot."""
    name = host.strip().removeprefix("[").removesuffix("]").removesuffix(".").lower()
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        return name


def address_of(name: str) -> Address | None:
    """Return the address that *name* spells, also in the old forms such as 127.1 and 0x7f000001."""
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
