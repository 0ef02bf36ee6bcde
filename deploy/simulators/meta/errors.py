"""The Graph API's error envelope, and the errors that both of Meta's hosts share.

https://developers.facebook.com/docs/graph-api/guides/error-handling
"""

from datetime import datetime
from hashlib import blake2b
from typing import Any

from deploy.simulators.request_log import Outcome

INSTAGRAM_HOST = "graph.instagram.com"

SESSIONS = {
    "458": "The user has not authorized application.",
    "459": "The session is invalid because the user has been checkpointed.",
    "460": "The session has been invalidated because the user changed their password or Facebook has changed "
    "the session for security reasons.",
    "464": "Sessions for the user are not allowed because the user is not a confirmed user.",
    "467": "The session is invalid because the user logged out.",
    "492": "The user must be an administrator, editor, or moderator of the page in order to impersonate it.",
}
"""Why a session is refused, by error_subcode."""


class GraphError(Exception):
    """One error of the Graph API. `envelope` renders it as the requested host does."""

    def __init__(
        self,
        code: int | None,
        message: str,
        *,
        status: int = 400,
        kind: str = "OAuthException",
        subcode: int | None = None,
        outcome: Outcome = "error",
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.kind = kind
        self.subcode = subcode
        self.outcome: Outcome = outcome
        self.more = more

    def envelope(self, host: str) -> dict[str, Any]:
        """Return the body. graph.instagram.com has its own error type, and no `(#code)` before the text."""
        instagram = host == INSTAGRAM_HOST
        plain = instagram or self.kind != "OAuthException" or (self.code == 100 and self.subcode)
        prefixed = self.code in _PREFIXED and not plain
        kind = "IGApiException" if instagram and self.outcome == "error" else self.kind
        error: dict[str, Any] = {
            "message": f"(#{self.code}) {self.message}" if prefixed else self.message,
            "type": kind,
            "code": self.code,
            "error_subcode": self.subcode,
            **self.more,
        }
        trace = blake2b(repr(error).encode(), digest_size=8).hexdigest()
        present = {name: value for name, value in error.items() if value is not None}
        return {"error": present | {"fbtrace_id": f"A{trace}"}}


_PREFIXED = frozenset({3, 4, 10, 17, 32, 100, 200, 803, 3001, 80001, 80002})


def unparsable_token() -> GraphError:
    """Return the error for a malformed or unknown token, or one of the other host."""
    return GraphError(
        190, "Invalid OAuth access token - Cannot parse access token", status=401, outcome="refused_auth"
    )


def no_token() -> GraphError:
    """Return the error for a request without a token."""
    return GraphError(
        104, "An access token is required to request this resource.", status=401, outcome="refused_auth"
    )


def expired(at: datetime) -> GraphError:
    """Return the error for an expired session."""
    message = f"Error validating access token: Session has expired on {at:%A, %d-%b-%y %H:%M:%S} UTC."
    return GraphError(190, message, subcode=463, outcome="refused_auth")


def revoked(subcode: str | None) -> GraphError:
    """Return the error for a revoked session."""
    why = SESSIONS.get(subcode or "", "The session is invalid.")
    return GraphError(
        190,
        f"Error validating access token: {why}",
        status=401,
        subcode=int(subcode) if subcode else None,
        outcome="refused_auth",
    )


def missing_object(object_id: str, method: str = "get") -> GraphError:
    """Return the error for an id that is deleted, not permitted or unknown; it does not say which."""
    return GraphError(
        100,
        f"Unsupported {method} request. Object with ID '{object_id}' does not exist, cannot be loaded due to "
        "missing permissions, or does not support this operation.",
        kind="GraphMethodException",
        subcode=33,
    )


def unknown_alias(object_id: str) -> GraphError:
    """Return the error for a malformed or unknown id."""
    return GraphError(803, f"Some of the aliases you requested do not exist: {object_id}")


def application_blocked(how: str) -> GraphError:
    """Return the error for a blocked application; for a deactivated one it is a 200."""
    if how == "blocked":
        return GraphError(200, "API access blocked.", outcome="refused_auth")
    message = "API access deactivated. To regain access, go to your app dashboard"
    return GraphError(200, message, status=200, outcome="refused_auth")


def not_on_behalf(application: str, user: str) -> GraphError:
    """Return the error for an application that may not act on behalf of a user."""
    return GraphError(10, f"Cannot call API for app {application} on behalf of user {user}")


def nonexistent_field(name: str, node: str | None = None) -> GraphError:
    """Return the error for a field that the node lacks; since v23 it does not always name the node's type."""
    on_type = f" on node type ({node})" if node else ""
    return GraphError(100, f"Tried accessing nonexisting field ({name}){on_type}")


def missing_permission(message: str, *, code: int = 10, status: int = 403) -> GraphError:
    """Return the error for a valid token without the permission."""
    return GraphError(code, message, status=status, outcome="refused_auth")


def wrong_proof(*, present: bool) -> GraphError:
    """Return the error for a missing appsecret_proof, or one made with another secret or token."""
    message = (
        "Invalid appsecret_proof provided in the API argument"
        if present
        else "API calls from the server require an appsecret_proof argument"
    )
    return GraphError(100, message, kind="GraphMethodException")


def too_many_calls(code: int) -> GraphError:
    """Return the error of a limit: the app's (4), the token's on Pages (32), the Page's or the account's."""
    messages = {
        4: "Application request limit reached",
        32: "Page request limit reached",
        80001: "There have been too many calls to this Page account. Wait a bit and try again.",
        80002: "There have been too many calls to this Instagram account. Wait a bit and try again.",
    }
    status = 403 if code == 4 else 400
    error = GraphError(code, messages[code], status=status, outcome="refused_limit")
    if code == 4:
        error.more = {"is_transient": True}
    return error
