"""Authentication of the operators' page: a token and a name to log in, then a sealed cookie.

Without ``DRAVO_OPS_TOKEN`` there is no page. ``DRAVO_OPS_LOGIN_FILE`` names a file that holds one more token,
good for one login, which deletes the file. Where a request comes from proves nothing: behind a plain reverse
proxy every request comes from loopback.
"""

import base64
import hmac
import json
import secrets
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from starlette.requests import Request
from starlette.responses import Response

from shared.settings import Settings

COOKIE: Final = "dravo_ops"
SESSION_SECONDS: Final = 12 * 3600
_MAX_TRIES: Final = 8
_SECONDS_A_TRY: Final = 10.0
_REMEMBERED: Final = 2_000


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who was let in."""

    session_id: str
    name: str
    csrf: str
    """What a form of this session carries, and a form of another site cannot."""

    @property
    def operator(self) -> str:
        """Who is kept as the author of an act."""
        return f"{self.name} (session {self.session_id})"


class Door:
    """Lets requests in, or not."""

    def __init__(self, settings: Settings) -> None:
        token = settings.ops_token.get_secret_value() if settings.ops_token else None
        self._token = sha256(token.encode()).digest() if token else None
        self._login_file = Path(settings.ops_login_file) if settings.ops_login_file else None
        self._seal = Fernet(_key(token or secrets.token_hex(32)))
        self._tries = Tries()

    @property
    def leads_anywhere(self) -> bool:
        """Whether there is a page at all."""
        return self._token is not None

    def session(self, request: Request) -> Session | None:
        """Return the session of a request's cookie."""
        return self._opened(request.cookies.get(COOKIE, ""))

    def enter(self, request: Request, token: str, name: str) -> Session | float | None:
        """Return a session, ``None`` for a wrong token, or the seconds to wait after too many of those."""
        peer = request.client.host if request.client else ""
        wait = self._tries.spend(peer)
        if wait:
            return wait
        given = sha256(token.encode("utf-8", "replace")).digest()
        known = self._token is not None and hmac.compare_digest(given, self._token)
        if not known and not self._use_once(given):
            return None
        self._tries.forget(peer)
        return Session(secrets.token_hex(4), name, secrets.token_urlsafe(24))

    def _use_once(self, given: bytes) -> bool:
        """Return whether this is the token that is good for one login, and make it good for none."""
        if self._token is None or self._login_file is None:
            return False
        try:
            kept = self._login_file.read_text().strip()
            if not kept or not hmac.compare_digest(given, sha256(kept.encode()).digest()):
                return False
            self._login_file.unlink()
        except OSError:
            return False  # it was used, by this process or by another one
        return True

    def remember(self, request: Request, response: Response, session: Session) -> None:
        """Give the session's cookie to whoever asked."""
        response.set_cookie(
            COOKIE,
            self._seal.encrypt(json.dumps(asdict(session)).encode()).decode(),
            max_age=SESSION_SECONDS,
            path="/ops",
            httponly=True,
            samesite="strict",
            secure=request.headers.get("x-forwarded-proto", request.url.scheme) == "https",
        )

    def _opened(self, cookie: str) -> Session | None:
        try:
            return Session(**json.loads(self._seal.decrypt(cookie, ttl=SESSION_SECONDS)))
        except (InvalidToken, TypeError, ValueError):
            return None


class Tries:
    """`_MAX_TRIES` wrong tokens at once and one every `_SECONDS_A_TRY` in the long run, for each peer."""

    def __init__(self) -> None:
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def spend(self, peer: str) -> float:
        """Take one and return 0, or return the seconds until there is one."""
        now = time.monotonic()
        full_at = max(self._full_at.pop(peer, now), now) + _SECONDS_A_TRY
        wait = full_at - now - _MAX_TRIES * _SECONDS_A_TRY
        self._full_at[peer] = full_at - _SECONDS_A_TRY if wait > 0 else full_at
        if len(self._full_at) > _REMEMBERED:
            self._full_at.popitem(last=False)
        return max(0.0, wait)

    def forget(self, peer: str) -> None:
        """Begin anew for a peer: it knew the token."""
        self._full_at.pop(peer, None)


def same_site(request: Request) -> bool:
    """Return whether a form was sent from a page of ours, as far as the browser tells."""
    fetched = request.headers.get("sec-fetch-site")
    if fetched is not None and fetched not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _key(token: str) -> bytes:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"dravo operators' page").derive(token.encode())
    return base64.urlsafe_b64encode(derived)
