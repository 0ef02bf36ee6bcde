"""Redis killed, emptied, hung, out of memory, failed over, and with malformed messages."""

import json
import os
import signal
from collections.abc import Callable
from random import Random
from typing import Any

from tests.faults.harness.environment import Environment
from tests.faults.harness.fleet import frozen
from tests.faults.harness.waiting import sleep_for, wait_until
from tests.faults.judge.invariants import Tolerance
from tests.faults.matrix import Fault, RoundContext

_TIMEOUT = 20.0
_QUEUES = ("background", "interactive", "background.DQ")


def killed_and_restarted_empty(context: RoundContext) -> None:
    """Kill the server and start it on the same port without its data."""
    _with_messages_waiting(context.environment, lambda: _kill_server(context.environment))
    context.environment.valkey.start()


def _with_messages_waiting(environment: Environment, inject: Callable[[], object]) -> None:
    """Call ``act`` while messages that no worker has taken are in Redis, so that messages are lost."""
    workers = environment.fleet.of("worker")
    for worker in workers:
        worker.signal(signal.SIGSTOP)
    with environment.redis() as client:
        wait_until(lambda: client.llen("dramatiq:background") > 2, _TIMEOUT, "messages in the queue")
    inject()
    for worker in workers:
        worker.signal(signal.SIGCONT)


def _kill_server(environment: Environment) -> None:
    os.kill(environment.valkey.pid, signal.SIGKILL)
    environment.valkey.stop()


def flushed(context: RoundContext) -> None:
    """FLUSHALL while messages wait."""
    with context.environment.redis() as client:
        _with_messages_waiting(context.environment, client.flushall)


def failed_over(context: RoundContext) -> None:
    """Kill the primary and wait until Sentinel has promoted the replica."""
    servers = context.environment.sentinel_servers
    assert servers is not None
    os.kill(servers.primary.pid, signal.SIGKILL)
    servers.await_failover()
    context.environment.valkey = servers.replica


def down_while_jobs_fail(context: RoundContext) -> None:
    """Stop Redis while the platforms answer 503: the jobs that fail meanwhile must be retried."""
    environment = context.environment
    request_log = environment.simulators.request_log
    failed = request_log.requests(outcome="fault")
    environment.behave(outage=True)
    wait_until(lambda: request_log.requests(outcome="fault") > failed, _TIMEOUT, "a job that failed")
    _kill_server(environment)
    sleep_for(context.seconds(2, 30))
    environment.behave()
    environment.valkey.start()


def hung(context: RoundContext) -> None:
    """Freeze the server: connections stay open, and no response arrives."""
    with frozen(context.environment.valkey.pid):
        sleep_for(context.seconds(3, 15))


def out_of_memory(context: RoundContext) -> None:
    """Let the server refuse every write, as with a full memory and the policy noeviction."""
    with context.environment.redis() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1024 * 1024 // 2)
        sleep_for(context.seconds(2, 20))
        client.config_set("maxmemory", 0)


def malformed_messages(context: RoundContext) -> None:
    """Enqueue random bytes, truncated JSON, unknown actors and arguments, and ids without a message."""
    environment = context.environment
    with environment.redis() as client:
        for number in range(30):
            queue = f"dramatiq:{context.random.choice(_QUEUES)}"
            malformed = _malformed_message(context.random, number)
            if malformed is not None:
                client.hset(f"{queue}.msgs", f"malformed-{number}", malformed)
            client.lpush(queue, f"malformed-{number}")
        wait_until(
            lambda: all(client.llen(f"dramatiq:{queue}") == 0 for queue in _QUEUES[:2]),
            _TIMEOUT,
            "queues without malformed messages",
        )


def _malformed_message(random: Random, number: int) -> bytes | None:
    message: dict[str, Any] = {
        "queue_name": "background",
        "actor_name": "refresh",
        "args": [],
        "kwargs": {"account_id": "acc_north_x", "claims": [[1, 1]]},
        "options": {"redis_message_id": f"malformed-{number}"},
        "message_id": f"malformed-{number}",
        "message_timestamp": 0,
    }
    whole = json.dumps(message).encode()
    kinds: list[bytes | None] = [
        None,
        random.randbytes(64),
        whole[: random.randrange(1, len(whole))],
        json.dumps({**message, "actor_name": "nobody"}).encode(),
        json.dumps({**message, "kwargs": {"claims": "all"}}).encode(),
        json.dumps({**message, "kwargs": {"account_id": "acc_north_x", "claims": [[-1, 2**80]]}}).encode(),
        json.dumps({**message, "options": {"eta": "soon", "throws": 1}}).encode(),
        json.dumps({**message, "queue_name": "elsewhere"}).encode(),
        b"[" * 10_000,
    ]
    return kinds[number % len(kinds)]


FAULTS = (
    Fault("Redis killed and restarted empty", killed_and_restarted_empty),
    Fault("Redis emptied by FLUSHALL", flushed),
    Fault("Redis down while jobs fail", down_while_jobs_fail),
    Fault("Redis hung", hung),
    Fault("Redis out of memory, noeviction", out_of_memory),
    Fault("Redis failed over through Sentinel", failed_over, sentinel=True),
    Fault("malformed, truncated and unknown messages", malformed_messages, Tolerance()),
)
