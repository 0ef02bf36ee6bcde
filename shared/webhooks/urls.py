"""Which URLs an endpoint may have, and which addresses a delivery may connect to (protection against SSRF).

The rules of `ipaddress` alone do not suffice: Python 3.11 counts multicast, and IPv6 forms that lead to an
IPv4 address, as global.
"""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

MAX_LENGTH: Final = 2_048

Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]

_HTTPS: Final = 443
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label has a letter first: a host of digits alone, in whatever notation, is an address.
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+[a-z][a-z0-9-]{{0,61}}[a-z0-9]")
_LOCAL_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")

# https://www.iana.org/assignments/iana-ipv6-special-registry
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NOT_ENDPOINTS: Final = tuple(
    IPv6Network(one) for one in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


class UrlError(ValueError):
    """The URL is not allowed; the message says why in one sentence, without the URL."""


@dataclass(frozen=True, slots=True)
class EndpointUrl:
    """A URL that an endpoint may have."""

    url: str
    host: str
    port: int
    local_only: bool
    """It is not https on port 443: only networks of ``DRAVO_WEBHOOK_ALLOW_NETWORKS`` may be reached."""


def parse_networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks of a comma-separated list. Raises `ValueError`."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def parse_url(url: str, allowed: Networks = ()) -> EndpointUrl:
    """Return the parts of an endpoint's URL. Raises `UrlError`."""
    if len(url) > MAX_LENGTH:
        raise UrlError(f"the URL must have at most {MAX_LENGTH} characters")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise UrlError("the URL must be printable ASCII: write an international name as xn--…")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlError("the URL cannot be parsed") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UrlError("the URL must begin with https:// and name a host")
    if "@" in parts.netloc or "#" in url:
        raise UrlError("the URL must hold no user, password or fragment")
    return _checked_host(url, parts.scheme, parts.hostname, port, allowed)


def _checked_host(url: str, scheme: str, host: str, port: int | None, allowed: Networks) -> EndpointUrl:
    default = _HTTPS if scheme == "https" else 80
    local_only = scheme != "https" or (port or default) != _HTTPS
    literal = _literal(host)
    if literal is not None:
        if not any(literal in network for network in allowed):
            raise UrlError("the URL must name a host, not an address")
        local_only = True
    elif not _NAME.fullmatch(host) and not (allowed and _LOCAL_NAME.fullmatch(host)):
        raise UrlError("the URL's host must be a full domain name, without a trailing dot")
    elif not _NAME.fullmatch(host):
        local_only = True
    if local_only and not allowed:
        raise UrlError("the URL must use https on port 443")
    return EndpointUrl(url, host, port or default, local_only)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Return whether an address belongs to the public internet, and to one host there."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    return address in _GLOBAL_UNICAST and not any(address in one for one in _NOT_ENDPOINTS)


def may_connect(address: Address, allowed: Networks, *, local_only: bool) -> bool:
    """Return whether a delivery may connect to an address."""
    return any(address in network for network in allowed) or (not local_only and is_public(address))


def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of a host in the resolver's order. Raises `OSError`."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # A scope ("%eth0") is no part of the address, and a scoped address is never public.
    return list(dict.fromkeys(ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in answers))


def check_reachable(url: EndpointUrl, allowed: Networks) -> None:
    """Raise `UrlError` unless a delivery may connect to every address that the host has now."""
    try:
        addresses = resolve(url.host, url.port)
    except (OSError, UnicodeError):
        raise UrlError("the URL's host cannot be resolved") from None
    if not all(may_connect(one, allowed, local_only=url.local_only) for one in addresses):
        raise UrlError("the URL's host has an address that is not public")
