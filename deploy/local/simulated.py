"""The simulated platforms beside the local stack: which hosts they stand in for, and their start."""

import json
import socket
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from deploy.local.errors import LocalServerError
from deploy.local.services import Service, Services
from deploy.simulators.linkedin import oauth as linkedin_oauth
from deploy.simulators.server import HOSTS
from deploy.simulators.tiktok import oauth as tiktok_oauth
from deploy.simulators.x import oauth as x_oauth

_PORTS = range(18_100, 30_000, 10)  # below the ports that systems give to outgoing connections
_SPEED = "120"  # a simulated hour passes in half a minute, so that metrics visibly move

_SIMULATED = {
    # host variable: (name of the simulated host, variable that shows that real credentials are there)
    "DRAVO_META_GRAPH_URL": ("meta_graph", "DRAVO_META_APP_ID"),
    "DRAVO_INSTAGRAM_GRAPH_URL": ("instagram_graph", "DRAVO_META_APP_ID"),
    "DRAVO_X_API_URL": ("x", "DRAVO_X_CLIENT_ID"),
    "DRAVO_LINKEDIN_API_URL": ("linkedin", "DRAVO_LINKEDIN_CLIENT_ID"),
    "DRAVO_LINKEDIN_OAUTH_URL": ("linkedin_oauth", "DRAVO_LINKEDIN_CLIENT_ID"),
    "DRAVO_TIKTOK_API_URL": ("tiktok", "DRAVO_TIKTOK_CLIENT_KEY"),
}
_STAND_IN_CREDENTIALS = {
    "DRAVO_X_CLIENT_ID": x_oauth.CLIENT_ID,
    "DRAVO_X_CLIENT_SECRET": x_oauth.CLIENT_SECRET,
    "DRAVO_LINKEDIN_CLIENT_ID": linkedin_oauth.CLIENT_ID,
    "DRAVO_LINKEDIN_CLIENT_SECRET": linkedin_oauth.CLIENT_SECRET,
    "DRAVO_TIKTOK_CLIENT_KEY": tiktok_oauth.CLIENT_KEY,
    "DRAVO_TIKTOK_CLIENT_SECRET": tiktok_oauth.CLIENT_SECRET,
}


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
    for variable, (host, credentials) in _SIMULATED.items():
        if variable not in environment and not environment.get(credentials):
            environment[variable] = urls[host]
    for variable, value in _STAND_IN_CREDENTIALS.items():
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
