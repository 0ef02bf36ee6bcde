"""Faults of Redis: gone, emptied, hung, full, and full of rubbish."""

import json
import os
import signal
from collections.abc import Callable
from random import Random
from typing import Any

from tests.faults.harness.environment import Stage
from tests.faults.harness.fleet import frozen
from tests.faults.harness.waiting import lasts, until
from tests.faults.judge.invariants import Allowed
from tests.faults.matrix import Fault, Scene

_PATIENCE = 20.0
_QUEUES = ("background", "interactive", "background.DQ")


def killed_and_restarted_empty(scene: Scene) -> None:
    """Kill the server; it comes back on the same port and remembers nothing."""
    _with_messages_waiting(scene.stage, lambda: _kill_server(scene.stage))
    scene.stage.valkey.start()


def _with_messages_waiting(stage: Stage, act: Callable[[], object]) -> None:
    """Act while messages are in Redis that no worker has taken, so that they are lost for certain."""
    workers = stage.fleet.of("worker")
    for worker in workers:
        worker.signal(signal.SIGSTOP)
    with stage.redis() as client:
        until(lambda: client.llen("dramatiq:background") > 2, _PATIENCE, "messages that wait")
    act()
    for worker in workers:
        worker.signal(signal.SIGCONT)


def _kill_server(stage: Stage) -> None:
    os.kill(stage.valkey.pid, signal.SIGKILL)
    stage.valkey.stop()


def flushed(scene: Scene) -> None:
    """FLUSHALL while messages wait."""
    with scene.stage.redis() as client:
        _with_messages_waiting(scene.stage, client.flushall)


def failed_over(scene: Scene) -> None:
    """Kill the primary and wait until Sentinel has made its replica the primary."""
    servers = scene.stage.pair
    assert servers is not None
    os.kill(servers.primary.pid, signal.SIGKILL)
    servers.await_failover()
    scene.stage.valkey = servers.replica


def down_while_jobs_fail(scene: Scene) -> None:
    """Take Redis away while the platforms answer 503: what fails meanwhile must be tried again."""
    stage = scene.stage
    request_log = stage.simulators.request_log
    failed = request_log.requests(outcome="fault")
    stage.behave(outage=True)
    until(lambda: request_log.requests(outcome="fault") > failed, _PATIENCE, "a job that failed")
    _kill_server(stage)
    lasts(scene.seconds(2, 30))
    stage.behave()
    stage.valkey.start()


def hung(scene: Scene) -> None:
    """Freeze the server: connections stand, answers do not come."""
    with frozen(scene.stage.valkey.pid):
        lasts(scene.seconds(3, 15))


def out_of_memory(scene: Scene) -> None:
    """Let the server refuse every write, as one does that is full and may not evict."""
    with scene.stage.redis() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1024 * 1024 // 2)
        lasts(scene.seconds(2, 20))
        client.config_set("maxmemory", 0)


def junk(scene: Scene) -> None:
    """Put rubbish into every queue: bytes, torn JSON, unknown actors and arguments, ids without message."""
    stage = scene.stage
    with stage.redis() as client:
        for number in range(30):
            queue = f"dramatiq:{scene.random.choice(_QUEUES)}"
            rubbish = _rubbish(scene.random, number)
            if rubbish is not None:
                client.hset(f"{queue}.msgs", f"junk-{number}", rubbish)
            client.lpush(queue, f"junk-{number}")
        until(
            lambda: all(client.llen(f"dramatiq:{queue}") == 0 for queue in _QUEUES[:2]),
            _PATIENCE,
            "queues without rubbish",
        )


def _rubbish(random: Random, number: int) -> bytes | None:
    message: dict[str, Any] = {
        "queue_name": "background",
        "actor_name": "refresh",
        "args": [],
        "kwargs": {"account_id": "acc_north_x", "claims": [[1, 1]]},
        "options": {"redis_message_id": f"junk-{number}"},
        "message_id": f"junk-{number}",
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
    Fault("junk, torn and unknown messages", junk, Allowed()),
)
