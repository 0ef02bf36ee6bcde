"""Calls to a malicious server, within tight bounds and with a secret in the URL."""

from datetime import timedelta

from tests.worker.http.malicious_server import MaliciousServer
from worker.http.client import Bounds, Client

SECRET = "EAAvery-secret-token"
LARGEST = 65_536
TIGHT = Bounds(
    connect=timedelta(seconds=0.2),
    read=timedelta(seconds=0.2),
    whole=timedelta(seconds=0.4),
    body_bytes=LARGEST,
)


def get(server: MaliciousServer, path: str = "/") -> object:
    """Return the answer's JSON, of a call that must end in time."""
    with Client(TIGHT) as client:
        return client.request("GET", server.url + path).json()
