"""The signals that the simulated platforms send, signed as the real ones sign them.

A signal may be sent twice, late, out of order, or forged: by another secret, with a changed body, or without
a signature.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import httpx


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """One request of a platform, ready to be sent any number of times."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def forged(self) -> "SignedRequest":
        """Return the same request with a changed body under the old signature."""
        return replace(self, body=self.body.replace(b"1", b"2") + b" ")

    def unsigned(self) -> "SignedRequest":
        """Return the same request without its signature."""
        return replace(self, headers={"content-type": self.headers["content-type"]})

    def send(self, client: httpx.Client) -> httpx.Response:
        """Send it."""
        return client.post(self.path, headers=dict(self.headers), content=self.body)


def _mac(secret: str, signed: bytes) -> bytes:
    return hmac.new(secret.encode(), signed, hashlib.sha256).digest()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _request(platform: str, body: bytes, header: str, signature: str) -> SignedRequest:
    headers = {"content-type": "application/json", header: signature}
    return SignedRequest(f"/platforms/{platform}/webhook", headers, body)


def tiktok(
    secret: str,
    event: str,
    open_id: str,
    content: Mapping[str, Any],
    *,
    at: float | None = None,
    happened_at: float | None = None,
) -> SignedRequest:
    """Return a webhook of TikTok.

    ``at``: when it was signed, in Unix seconds; ``happened_at``: when it happened, if not then.
    """
    sent_at = int(time.time() if at is None else at)
    body = _json(
        {
            "client_key": "key",
            "event": event,
            "create_time": sent_at if happened_at is None else int(happened_at),
            "user_openid": open_id,
            "content": json.dumps(dict(content)),
        }
    )
    signature = _mac(secret, f"{sent_at}.".encode() + body).hex()
    return _request("tiktok", body, "TikTok-Signature", f"t={sent_at},s={signature}")


def x(secret: str, event_type: str, payload: Mapping[str, Any], uuid: str) -> SignedRequest:
    """Return an event of X's Activity API."""
    event = {"event_uuid": uuid, "event_type": event_type, "payload": dict(payload)}
    body = _json({"data": event})
    signature = base64.b64encode(_mac(secret, body)).decode()
    return _request("x", body, "x-twitter-webhooks-signature", f"sha256={signature}")


def linkedin(secret: str, notifications: list[dict[str, Any]]) -> SignedRequest:
    """Return notifications of LinkedIn about an organization's posts."""
    body = _json({"type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS", "notifications": notifications})
    return _request("linkedin", body, "X-LI-Signature", _mac(secret, b"hmacsha256=" + body).hex())


def meta(secret: str, platform: str, owner: str, field: str, value: Mapping[str, Any]) -> SignedRequest:
    """Return a webhook of Meta with one change."""
    change = {"field": field, "value": dict(value)}
    body = _json(
        {"object": platform, "entry": [{"id": owner, "time": int(time.time()), "changes": [change]}]}
    )
    return _request(platform, body, "X-Hub-Signature-256", f"sha256={_mac(secret, body).hex()}")


def meta_callback(
    secret: str, platform: str, callback: str, user_id: str, *, issued_at: float | None = None
) -> SignedRequest:
    """Return Meta's ``deauthorize`` or ``data-deletion`` callback."""
    issued = int(time.time() if issued_at is None else issued_at)
    request = {"algorithm": "HMAC-SHA256", "issued_at": issued, "user_id": user_id}
    payload = base64.urlsafe_b64encode(_json(request)).rstrip(b"=")
    signature = base64.urlsafe_b64encode(_mac(secret, payload)).rstrip(b"=")
    body = urlencode({"signed_request": f"{signature.decode()}.{payload.decode()}"}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return SignedRequest(f"/platforms/{platform}/{callback}", headers, body)
