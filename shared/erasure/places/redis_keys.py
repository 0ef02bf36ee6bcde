"""What Redis holds of a subject: budgets, probes and call counts of an account, and queued jobs.

Redis only signals: a removed job's rows are gone or due again when their lease ends.
"""

from collections.abc import Iterator
from typing import Final

from shared.erasure.identifiers import Identifiers
from shared.quota import call_counts
from shared.redis_client import RedisClient
from shared.refresh_queue import NAMESPACE

_PAGE: Final = 1_000
_MESSAGES: Final = f"{NAMESPACE}:*.msgs"
_DEAD: Final = ".XQ"
"""dramatiq keeps the ids of messages that no actor accepted in a sorted set, those of a queue in a list."""
_READERS: Final = {b"hash": "hscan_iter", b"set": "sscan_iter", b"zset": "zscan_iter"}


def keys_that_name(client: RedisClient, identifiers: Identifiers) -> Iterator[str]:
    """Yield the keys whose name has one of the identifiers."""
    for key in client.scan_iter(count=_PAGE):
        name = key.decode("utf-8", "replace")
        if identifiers.found_in(name):
            yield name


def messages_that_name(client: RedisClient, identifiers: Identifiers) -> Iterator[tuple[str, bytes]]:
    """Yield the hash and the id of each queued message that has one of the identifiers."""
    for key in client.scan_iter(match=_MESSAGES, count=_PAGE):
        for message_id, message in client.hscan_iter(key, count=_PAGE):
            if identifiers.found_in(message.decode("utf-8", "replace")):
                yield key.decode(), message_id


def remove(client: RedisClient, identifiers: Identifiers) -> int:
    """Delete what names the subject; return how many keys and messages."""
    removed = 0
    for messages, message_id in list(messages_that_name(client, identifiers)):
        queue = messages.removesuffix(".msgs")
        with client.pipeline() as pipeline:
            pipeline.hdel(messages, message_id)
            if queue.endswith(_DEAD):
                pipeline.zrem(queue, message_id)
            else:
                pipeline.lrem(queue, 0, message_id)
            pipeline.execute()
        removed += 1
    for name in list(keys_that_name(client, identifiers)):
        removed += client.delete(name)
    for field, _ in list(client.hscan_iter(call_counts.KEY, count=_PAGE)):
        if identifiers.found_in(field.decode("utf-8", "replace")):
            removed += client.hdel(call_counts.KEY, field)
    return removed


def count(client: RedisClient, identifiers: Identifiers) -> int:
    """Count what still names the subject: keys, messages, and members of small collections."""
    number = sum(1 for _ in keys_that_name(client, identifiers))
    for key in client.scan_iter(count=_PAGE):
        number += sum(1 for content in _contents(client, key) if identifiers.found_in(content))
    return number


def _contents(client: RedisClient, key: bytes) -> Iterator[str]:
    """Yield the members of a collection as text; the values of plain keys are packed numbers."""
    reader = _READERS.get(client.type(key))
    if reader is None:
        return
    for member in getattr(client, reader)(key, count=_PAGE):
        parts = member if isinstance(member, tuple) else (member,)
        yield " ".join(part.decode("utf-8", "replace") for part in parts if isinstance(part, bytes))
