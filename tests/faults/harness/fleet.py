"""The services as processes: started, killed, frozen, mended, and stopped with a look at how they end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil publishes no types

from shared.process import STOP_WITHIN
from tests.faults.harness.waiting import until

ROOT = Path(__file__).parents[3]
GRACE_SECONDS = STOP_WITHIN.total_seconds() + 2
"""How long a service may take to end after SIGTERM, and how late a shared machine may notice it."""
_START_WITHIN = 30.0


@dataclass
class Member:
    """One process of the fleet. A passing one is not started again when it has died."""

    name: str
    module: str
    environment: Mapping[str, str]
    log: Path
    passing: bool
    root: Path = ROOT
    """The tree whose code it runs."""
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def alive(self) -> bool:
        """Whether it runs, frozen or not."""
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def frozen(self) -> bool:
        """Whether it is stopped by SIGSTOP."""
        return self.alive and psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED

    def says(self, word: str) -> bool:
        """Whether its log holds a word."""
        return word.encode() in self.log.read_bytes()


class Fleet:
    """The processes of one stage. Start them from the main thread: they die with the thread that did."""

    def __init__(self, environment: Mapping[str, str], logs: Path) -> None:
        self._environment = {**environment, "DRAVO_LOG_FORMAT": "json"}
        self.logs = logs
        self.members: dict[str, Member] = {}
        self.kills = 0
        """Processes that were killed, by us or by a failpoint."""
        self._started = 0

    def start(
        self,
        module: str,
        *,
        name: str | None = None,
        passing: bool = False,
        root: Path = ROOT,
        **environment: str,
    ) -> Member:
        """Start ``python -m module``; settings go by their names in the environment."""
        self._started += 1
        name = name or f"{module}-{self._started}"
        settings = {**self._environment, **environment}
        member = Member(name, module, settings, self.logs / f"{name}.log", passing, root)
        self.members[name] = member
        self._run(member)
        return member

    def _run(self, member: Member) -> None:
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

    def armed(self, module: str, failpoints: str, **environment: str) -> Member:
        """Start one more process of a service, with failpoints."""
        more = {"DRAVO_FAILPOINTS": failpoints, **environment}
        return self.start(module, name=None, passing=True, root=ROOT, **more)

    @contextmanager
    def without(self, module: str) -> Iterator[None]:
        """Leave an armed process alone with the work of its kind: in step with others it might get none."""
        names = [member.name for member in self.of(module)]
        for member in self.of(module):
            self.end(member)
        yield
        for name in names:
            self.start(module, name=name)

    def kill(self, member: Member) -> None:
        """SIGKILL a process and reap it."""
        member.process.kill()
        self.died(member)

    def died(self, member: Member, within: float = _START_WITHIN) -> int:
        """Wait until a process has ended, count it as killed if it was, and return how it ended."""
        code = until(lambda: member.process.poll() is not None, within, f"the end of {member.name}")
        del code
        self.kills += member.process.returncode == -signal.SIGKILL
        if member.passing:
            del self.members[member.name]
        return member.process.returncode

    def mend(self) -> None:
        """Wake what is frozen and start again what has died, as a supervisor does."""
        for member in list(self.members.values()):
            if member.alive:
                member.signal(signal.SIGCONT)
            elif member.passing:
                del self.members[member.name]
            else:
                self._run(member)

    def end(self, *members: Member) -> list[str]:
        """End these (or all) members by SIGTERM and return what was wrong with how they ended."""
        ending = members or tuple(self.members.values())
        children = {one.name: _family(one) for one in ending if one.alive}
        for member in ending:
            if member.alive:
                member.signal(signal.SIGCONT)
                member.signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        wrong = []
        for member in ending:
            try:
                code = member.process.wait(max(0.1, deadline - time.monotonic()))
                if code and member.name in children:
                    wrong.append(f"{member.name} ended with {code}")
            except subprocess.TimeoutExpired:
                wrong.append(f"{member.name} still ran {GRACE_SECONDS:g} s after SIGTERM")
                member.process.kill()
                member.process.wait()
            self.members.pop(member.name, None)
        for name, family in children.items():
            wrong += [f"{name} left process {one.pid} behind" for one in family if _runs(one)]
        return wrong


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Freeze these processes with all their children, and wake them after."""
    roots = [psutil.Process(pid) for pid in pids]
    family = [*roots, *(child for root in roots for child in root.children(recursive=True))]
    try:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        yield
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):  # one that had ended is reaped once its parent wakes
                process.resume()


def _family(member: Member) -> list[psutil.Process]:
    return list(psutil.Process(member.process.pid).children(recursive=True))


def _runs(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)


def own_environment() -> dict[str, str]:
    """Return our environment without settings, proxies and libpq variables."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DRAVO_", "PG", "PYTEST")) and not name.lower().endswith("_proxy")
    }
