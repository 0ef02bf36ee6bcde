"""The simulated platforms as one process: a loopback port for every host, and one for control.

Tests run it in their own process: `with Simulators(seed=1) as sims:` provides `sims.urls`, `sims.world`,
`sims.request_log` and `sims.behave("x", outage=True)`; `sims.transport()` answers without sockets.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

import httpx

from deploy.simulators.behaviour import Behaviour, Fault, apply_fault, read_conditions
from deploy.simulators.control import Control
from deploy.simulators.http_server import Connection, Delivery
from deploy.simulators.linkedin.linkedin import LinkedIn
from deploy.simulators.meta.call import platform_of
from deploy.simulators.meta.facebook import Facebook
from deploy.simulators.meta.instagram import Instagram
from deploy.simulators.request_log import RequestLog, note, token_of
from deploy.simulators.tiktok.tiktok import TikTok
from deploy.simulators.world import World
from deploy.simulators.x.x import X


class Platform(Protocol):
    """One simulated platform: a function from requests to responses, on the accounts and posts of a world."""

    def __init__(self, world: World, behaviour: Behaviour) -> None: ...

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request; `request.url.host` is the official host."""


PLATFORMS: dict[str, type[Platform]] = {
    "facebook": Facebook,
    "instagram": Instagram,
    "x": X,
    "linkedin": LinkedIn,
    "tiktok": TikTok,
}


@dataclass(frozen=True, slots=True)
class Host:
    """One host: its official name, and the platform that answers there unless the token is another's."""

    official: str
    platform: str


HOSTS: dict[str, Host] = {
    "meta_graph": Host("graph.facebook.com", "facebook"),
    "instagram_graph": Host("graph.instagram.com", "instagram"),
    "x": Host("api.x.com", "x"),
    "linkedin": Host("api.linkedin.com", "linkedin"),
    "linkedin_oauth": Host("www.linkedin.com", "linkedin"),
    "tiktok": Host("open.tiktokapis.com", "tiktok"),
}


class Simulators:
    """All simulated platforms, with one world and one request log.

    `ports=0` takes free ports; otherwise the hosts, then control, take `ports`, `ports + 1` and so on.
    Raises `OSError` from `start` when a port is taken.
    """

    def __init__(
        self,
        seed: int = 0,
        ports: int = 0,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        speed: float = 1.0,
        world: World | None = None,
    ) -> None:
        self.world = world or World(seed, now, speed=speed)
        self.request_log = RequestLog()
        self.behaviours = {name: Behaviour() for name in PLATFORMS}
        self.platforms = {name: cls(self.world, self.behaviours[name]) for name, cls in PLATFORMS.items()}
        self.urls: dict[str, str] = {}
        self._control = Control(self.world, self.request_log, self.behaviours)
        self._ports = ports
        self._thread: threading.Thread | None = None
        self._failure: OSError | None = None
        self._crashes: list[BaseException] = []

    def behave(self, platform: str, **values: Any) -> None:
        """Replace a platform's conditions; without values, it behaves normally."""
        self.behaviours[platform].set_conditions(read_conditions(values))

    def serve(self, host: str, request: httpx.Request) -> Delivery:
        """Answer one request to a host of `HOSTS`, with its platform's faults, and log it."""
        token = token_of(request)
        platform = platform_of(self.world, request, token) if host == "meta_graph" else HOSTS[host].platform
        behaviour = self.behaviours[platform]
        fault = behaviour.next_fault(request)
        if fault is None or not fault.replaces():
            response = self.platforms[platform].handle(request)
        else:
            response = note(httpx.Response(200), "unprocessed")
        if fault is not None:
            response = apply_fault(response, fault)
        self.request_log.record(
            request,
            response,
            host=host,
            platform=platform,
            token=token,
            at=self.world.now(),
            outcome="fault" if fault is not None else None,
        )
        current = behaviour.conditions
        effect = fault or Fault()
        return Delivery(
            response,
            wait_seconds=current.latency_seconds + effect.hang_seconds,
            close=effect.close,
            trickle_seconds=effect.trickle_seconds,
            clock_skew_seconds=current.clock_skew_seconds,
        )

    def transport(self) -> httpx.MockTransport:
        """Return a transport that answers the official hosts without sockets or delivery faults."""
        names = {host.official: name for name, host in HOSTS.items()}
        return httpx.MockTransport(lambda request: self.serve(names[request.url.host], request).response)

    # The process

    def start(self) -> Self:
        """Listen on all ports; returns once they accept."""
        started: threading.Event = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="simulators", daemon=True)
        self._thread.start()
        started.wait()
        if not self.urls:
            self._thread.join()
            self._thread = None
            raise OSError(f"the simulated platforms cannot listen: {self._failure}") from self._failure
        return self

    def stop(self) -> None:
        """Close all ports and connections. Raises `RuntimeError` when a simulator crashed on a request."""
        if self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None
        self.urls = {}
        if self._crashes:
            crashes, self._crashes = self._crashes, []
            raise RuntimeError(f"{len(crashes)} requests crashed a simulator") from crashes[0]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, started: threading.Event) -> None:
        try:
            asyncio.run(self._listen(started))
        except OSError as error:
            self._failure = error
        finally:
            started.set()

    async def _listen(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._loop.set_exception_handler(self._crashed)
        live: set[Connection] = set()
        urls: dict[str, str] = {}
        async with contextlib.AsyncExitStack() as servers:
            for place, (name, official, serve) in enumerate(self._served()):
                server = await self._loop.create_server(
                    partial(Connection, serve, official, live),
                    "127.0.0.1",
                    self._ports and self._ports + place,
                    backlog=2048,
                )
                servers.callback(server.close)
                urls[name] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self.urls = urls
            started.set()
            await self._stopping.wait()
            # Other tasks are answers in progress and clients being accepted. Python 3.11 leaks the socket of
            # a client whose server closes meanwhile, so the servers close last.
            while live or len(asyncio.all_tasks()) > 1:
                for connection in tuple(live):
                    connection.abort()
                await asyncio.sleep(0)

    def _served(self) -> list[tuple[str, str, Callable[[httpx.Request], Delivery]]]:
        hosts = [(name, host.official, partial(self.serve, name)) for name, host in HOSTS.items()]
        return [*hosts, ("control", "localhost", lambda request: Delivery(self._control.handle(request)))]

    def _crashed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._crashes.append(context.get("exception") or RuntimeError(str(context["message"])))
        loop.default_exception_handler(context)
