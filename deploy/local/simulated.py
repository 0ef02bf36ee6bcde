"""The simulated platforms beside the local stack: which hosts they stand in for, and their start."""

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
_SPEED = "120"  # a simulated hour passes in half a minute, so that metrics visibly move

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
    """Start the simulated platforms, point what has no credentials at them, and return control's URL.

    ``environment`` is what the services are going to be started with; it is added to.
    """
    state = data_dir / "simulators"
    state.mkdir(exist_ok=True)
    bare = {name: value for name, value in environment.items() if not name.startswith("DRAVO_")}
    # Ports of our choice, so that platforms which fall and start again are found where they were.
    first = _free_ports(len(HOSTS) + 1)
    arguments = ("--state", str(state), "--seed", "7", "--speed", _SPEED, "--port-base", str(first))
    service = services.prepared("simulators", "deploy.simulators", bare, *arguments)
    urls = _announced(service)
    for variable, host in URL_SETTINGS.items():
        if variable not in environment and not environment.get(_REAL_CREDENTIALS[host]):
            environment[variable] = urls[host]
    for variable, value in CREDENTIALS.items():
        environment.setdefault(variable, value)
    return urls["control"]


def _free_ports(number: int) -> int:
    """Return the first of so many consecutive loopback ports that are free now."""
    for first in _PORTS:
        with ExitStack() as held:
            try:
                for port in range(first, first + number):
                    probe = held.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise LocalServerError("no consecutive free ports were found for the simulated platforms")


def _announced(service: Service) -> Mapping[str, str]:
    process = service.start(stdout=subprocess.PIPE)
    if process.stdout is None:
        raise LocalServerError("the simulated platforms have no output")
    with process.stdout:
        line = process.stdout.readline()
    if not line:
        raise LocalServerError(f"the simulated platforms did not start: {service.last_line()}")
    urls: dict[str, str] = json.loads(line)
    return urls
