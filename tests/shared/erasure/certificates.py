"""Erasures run to their certificates."""

from shared.erasure import requests
from tests.harness import Harness


def certificate(harness: Harness, code: str) -> requests.Certificate:
    with harness.engine.connect() as connection:
        erased = requests.certificate(connection, code)
    assert erased is not None
    return erased
