"""Connections to Redis or Valkey, direct or through Sentinel, with time limits."""

from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from shared.settings import SettingsError

RedisClient: TypeAlias = Any
"""A `redis.Redis`, whose own annotations declare every result as possibly awaitable."""

TIMEOUT_SECONDS = 5.0
_OPTIONS: dict[str, Any] = {
    "socket_timeout": TIMEOUT_SECONDS,
    "socket_connect_timeout": TIMEOUT_SECONDS,
    "health_check_interval": 30,
    # Errors surface at once: each caller has its own retry, and none may hang in this one.
    "retry": Retry(NoBackoff(), 1),
}


def connect(url: str) -> RedisClient:
    """Return a client for ``redis://``, ``rediss://``, ``unix://`` or ``redis+sentinel://`` URLs.

    The last has the form ``redis+sentinel://:password@host1:26379,host2:26379/0?service=mymaster`` and always
    connects to the current primary.
    """
    if not url.startswith("redis+sentinel://"):
        return redis.Redis.from_url(url, **_OPTIONS)
    parts = urlsplit(url)
    password = unquote(parts.password) if parts.password else None
    nodes = []
    for node in parts.netloc.rpartition("@")[2].split(","):
        host, _, port = node.rpartition(":")
        nodes.append((host or port, int(port) if host else 26379))
    service = parse_qs(parts.query).get("service", ["mymaster"])[0]
    database = int(parts.path.strip("/") or 0)
    sentinel = Sentinel(nodes, sentinel_kwargs={"password": password, **_OPTIONS}, **_OPTIONS)
    return sentinel.master_for(service, db=database, password=password)


def check_reachable(client: RedisClient) -> None:
    """Raise `SettingsError` with one sentence when Redis does not answer."""
    try:
        client.ping()
    except redis.RedisError:
        raise SettingsError("Redis does not answer: check DRAVO_REDIS_URL") from None
