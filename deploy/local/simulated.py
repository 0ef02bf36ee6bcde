"""Starts the simulated platforms of `dravo up` and points every platform without credentials at them."""

import json
import socket
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from deploy.local.errors import LocalServerError
from deploy.local.services import Service, Services
from deploy.simulators.environment import CREDENTIALS, URL_SETTINGS
from deploy.simulators.server import HOSTS

_PORTS = range(18_100, 30_000, 10)  # below the ports that systems give to outgoing connections
_SPEED = "120"  # a simulated hour passes in half a minute, so that metrics visibly change

_REAL_CREDENTIALS = {
    "meta_graph": "DRAVO_META_APP_ID",
    "instagram_graph": "DRAVO_META_APP_ID",
    "x": "DRAVO_X_CLIENT_ID",
    "linkedin": "DRAVO_LINKEDIN_CLIENT_ID",
    "linkedin_oauth": "DRAVO_LINKEDIN_CLIENT_ID",
    "tiktok": "DRAVO_TIKTOK_CLIENT_KEY",
}
"""The setting that shows, by host, that the real platform is to be used."""


def start(services: Services, data_dir: Path, environment: dict[str, str]) -> str:
    """Start the simulated platforms, use them for platforms without credentials; return the control URL.

    ``environment`` is that of the services to be started; the simulators' settings are added to it.
    """
    state = data_dir / "simulators"
    state.mkdir(exist_ok=True)
    bare = {name: value for name, value in environment.items() if not name.startswith("DRAVO_")}
    # Fixed ports, so that simulated platforms keep their URLs when they are restarted.
    first = _free_ports(len(HOSTS) + 1)
    arguments = ("--state", str(state), "--seed", "7", "--speed", _SPEED, "--port-base", str(first))
    service = services.prepared("simulators", "deploy.simulators", bare, *arguments)
    urls = _start_and_read_urls(service)
    for variable, host in URL_SETTINGS.items():
        if variable not in environment and not environment.get(_REAL_CREDENTIALS[host]):
            environment[variable] = urls[host]
    for variable, value in CREDENTIALS.items():
        environment.setdefault(variable, value)
    return urls["control"]


def _free_ports(number: int) -> int:
    """Return the first of this number of consecutive loopback ports that are free now."""
    for first in _PORTS:
        with ExitStack() as sockets:
            try:
                for port in range(first, first + number):
                    probe = sockets.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise LocalServerError("no consecutive free ports were found for the simulated platforms")


def _start_and_read_urls(service: Service) -> Mapping[str, str]:
    process = service.start(stdout=subprocess.PIPE)
    if process.stdout is None:
        raise LocalServerError("the simulated platforms have no output")
    with process.stdout:
        line = process.stdout.readline()
    if not line:
        raise LocalServerError(f"the simulated platforms did not start: {service.last_line()}")
    urls: dict[str, str] = json.loads(line)
    return urls
