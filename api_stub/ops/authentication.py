"""Authentication of the operators' page: a token and a name to log in, then a sealed cookie.

Without ``DRAVO_OPS_TOKEN`` there is no page. ``DRAVO_OPS_LOGIN_FILE`` names a file that holds one more token,
valid for one login, which deletes the file. The address of the client is no credential: behind a plain
reverse proxy every request comes from loopback.
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
_SECONDS_PER_TRY: Final = 10.0
_MAX_PEERS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Session:
    """An operator who is logged in."""

    session_id: str
    name: str
    csrf: str
    """The token in every form of this session, which a form of another site cannot know."""

    @property
    def operator(self) -> str:
        """The operator as the audit log names them."""
        return f"{self.name} (session {self.session_id})"


class OpsAuthenticator:
    """Logs operators in, and recognizes their sessions by a sealed cookie."""

    def __init__(self, settings: Settings) -> None:
        token = settings.ops_token.get_secret_value() if settings.ops_token else None
        self._token = sha256(token.encode()).digest() if token else None
        self._login_file = Path(settings.ops_login_file) if settings.ops_login_file else None
        self._fernet = Fernet(_key(token or secrets.token_hex(32)))
        self._throttle = LoginThrottle()

    @property
    def enabled(self) -> bool:
        """Whether the operators' page exists: a token is configured."""
        return self._token is not None

    def session(self, request: Request) -> Session | None:
        """Return the session of a request's cookie."""
        return self._decrypt(request.cookies.get(COOKIE, ""))

    def log_in(self, request: Request, token: str, name: str) -> Session | float | None:
        """Return a session, ``None`` for a wrong token, or the seconds to wait after too many wrong ones."""
        peer = request.client.host if request.client else ""
        wait = self._throttle.spend(peer)
        if wait:
            return wait
        digest = sha256(token.encode("utf-8", "replace")).digest()
        valid = self._token is not None and hmac.compare_digest(digest, self._token)
        if not valid and not self._use_login_token(digest):
            return None
        self._throttle.reset(peer)
        return Session(secrets.token_hex(4), name, secrets.token_urlsafe(24))

    def _use_login_token(self, digest: bytes) -> bool:
        """Return whether this is the token of the login file, and delete the file."""
        if self._token is None or self._login_file is None:
            return False
        try:
            token = self._login_file.read_text().strip()
            if not token or not hmac.compare_digest(digest, sha256(token.encode()).digest()):
                return False
            self._login_file.unlink()
        except OSError:
            return False  # used already, by this process or another one
        return True

    def set_cookie(self, request: Request, response: Response, session: Session) -> None:
        """Add the session's cookie to a response."""
        response.set_cookie(
            COOKIE,
            self._fernet.encrypt(json.dumps(asdict(session)).encode()).decode(),
            max_age=SESSION_SECONDS,
            path="/ops",
            httponly=True,
            samesite="strict",
            secure=request.headers.get("x-forwarded-proto", request.url.scheme) == "https",
        )

    def _decrypt(self, cookie: str) -> Session | None:
        try:
            return Session(**json.loads(self._fernet.decrypt(cookie, ttl=SESSION_SECONDS)))
        except (InvalidToken, TypeError, ValueError):
            return None


class LoginThrottle:
    """Rate limit of logins for each client address: bursts of `_MAX_TRIES`, one every `_SECONDS_PER_TRY`."""

    def __init__(self) -> None:
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def spend(self, peer: str) -> float:
        """Count one login and return 0, or return the seconds until one is allowed."""
        now = time.monotonic()
        full_at = max(self._full_at.pop(peer, now), now) + _SECONDS_PER_TRY
        wait = full_at - now - _MAX_TRIES * _SECONDS_PER_TRY
        self._full_at[peer] = full_at - _SECONDS_PER_TRY if wait > 0 else full_at
        if len(self._full_at) > _MAX_PEERS:
            self._full_at.popitem(last=False)
        return max(0.0, wait)

    def reset(self, peer: str) -> None:
        """Forget the logins of an address after one that succeeded."""
        self._full_at.pop(peer, None)


def same_site(request: Request) -> bool:
    """Return whether the browser says that a form was sent from a page of this site."""
    fetch_site = request.headers.get("sec-fetch-site")
    if fetch_site is not None and fetch_site not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _key(token: str) -> bytes:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"dravo operators' page").derive(token.encode())
    return base64.urlsafe_b64encode(derived)
