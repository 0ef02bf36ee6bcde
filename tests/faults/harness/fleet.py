"""The services as processes: started, killed, frozen, restarted and stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from shared.process import STOP_WITHIN
from tests.faults.harness.forked import ForkedProcess
from tests.faults.harness.waiting import wait_until

ROOT = Path(__file__).parents[3]
GRACE_SECONDS = STOP_WITHIN.total_seconds() + 5
"""How long a service may take to end after SIGTERM, and how late a shared machine may notice it."""
_START_WITHIN = 30.0


@dataclass
class Member:
    """One process of the fleet. A temporary one is not restarted when it has died."""

    name: str
    module: str
    environment: Mapping[str, str]
    log: Path
    temporary: bool
    root: Path = ROOT
    """The source tree that it runs."""
    process: subprocess.Popen[bytes] | ForkedProcess = field(init=False)

    @property
    def alive(self) -> bool:
        """Whether it runs, frozen or not."""
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def frozen(self) -> bool:
        """Whether SIGSTOP has stopped it."""
        try:
            return self.alive and psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return False

    def logged(self, word: str) -> bool:
        """Whether its log contains a word."""
        return word.encode() in self.log.read_bytes()


class Fleet:
    """The processes of one environment. Start them in the main thread: they die with the thread that did."""

    def __init__(self, environment: Mapping[str, str], logs: Path, *, forked: bool = False) -> None:
        self._forked = forked
        self._environment = {**environment, "DRAVO_LOG_FORMAT": "json"}
        self.logs = logs
        self.members: dict[str, Member] = {}
        self.kills = 0
        """Processes that were killed, by a fault or at a failpoint."""
        self._started = 0

    def start(
        self,
        module: str,
        *,
        name: str | None = None,
        temporary: bool = False,
        root: Path = ROOT,
        **environment: str,
    ) -> Member:
        """Start ``python -m module`` with these environment variables added."""
        self._started += 1
        name = name or f"{module}-{self._started}"
        settings = {**self._environment, **environment}
        member = Member(name, module, settings, self.logs / f"{name}.log", temporary, root)
        self.members[name] = member
        self._run(member)
        return member

    def _run(self, member: Member) -> None:
        if self._forked and member.root == ROOT:
            member.process = ForkedProcess(member.module, member.environment, member.log, member.root)
            return
        with member.log.open("ab") as log:
            member.process = subprocess.Popen(
                [sys.executable, "-m", member.module],
                cwd=member.root,
                env=dict(member.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def of(self, module: str) -> list[Member]:
        """Return the running members of one service."""
        return [one for one in self.members.values() if one.module == module and one.alive]

    def start_with_failpoints(self, module: str, failpoints: str, **environment: str) -> Member:
        """Start one more process of a service with failpoints. It is temporary."""
        more = {"DRAVO_FAILPOINTS": failpoints, **environment}
        return self.start(module, name=None, temporary=True, root=ROOT, **more)

    @contextmanager
    def stopped(self, module: str) -> Iterator[None]:
        """Stop a service for a while, so that only the process with failpoints does its work."""
        names = [member.name for member in self.of(module)]
        for member in self.of(module):
            self.stop(member)
        yield
        for name in names:
            self.start(module, name=name)

    def kill(self, member: Member) -> None:
        """Send SIGKILL to a process and wait for its end."""
        member.process.kill()
        self.await_exit(member)

    def await_exit(self, member: Member, within: float = _START_WITHIN) -> int:
        """Wait until a process has ended, count it if it was killed, and return its exit code."""
        wait_until(lambda: member.process.poll() is not None, within, f"the end of {member.name}")
        code = member.process.wait()
        self.kills += code == -signal.SIGKILL
        if member.temporary:
            del self.members[member.name]
        return code

    def restart_dead(self) -> None:
        """Resume frozen processes and restart dead ones, as a supervisor does."""
        for member in list(self.members.values()):
            if member.alive:
                member.signal(signal.SIGCONT)
            elif member.temporary:
                del self.members[member.name]
            else:
                self._run(member)

    def stop(self, *members: Member) -> list[str]:
        """Stop these (or all) members with SIGTERM and return what was wrong with how they stopped."""
        ending = members or tuple(self.members.values())
        children = {one.name: _family(one) for one in ending if one.alive}
        for member in ending:
            if member.alive:
                member.signal(signal.SIGCONT)
                member.signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        problems = []
        for member in ending:
            try:
                code = member.process.wait(max(0.1, deadline - time.monotonic()))
                if code and member.name in children:
                    problems.append(f"{member.name} ended with {code}")
            except subprocess.TimeoutExpired:
                problems.append(f"{member.name} still ran {GRACE_SECONDS:g} s after SIGTERM")
                member.process.kill()
                member.process.wait()
            self.members.pop(member.name, None)
        for name, family in children.items():
            problems += [f"{name} left process {one.pid} behind" for one in family if _runs(one)]
        return problems


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Freeze these processes with all their children, and resume them afterwards."""
    roots = [psutil.Process(pid) for pid in pids]
    family = [*roots, *(child for root in roots for child in root.children(recursive=True))]
    try:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        yield
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):  # a child that had ended is reaped when its parent resumes
                process.resume()


def _family(member: Member) -> list[psutil.Process]:
    return list(psutil.Process(member.process.pid).children(recursive=True))


def _runs(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)


def own_environment() -> dict[str, str]:
    """Return this process's environment without settings, proxies and libpq variables."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DRAVO_", "PG", "PYTEST")) and not name.lower().endswith("_proxy")
    }
