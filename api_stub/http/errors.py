"""The errors that an endpoint may raise, and the JSON body of each.

    ApiError
    ├── bad_parameter()     400   a parameter is wrong; it is named, with what is allowed
    ├── unauthorized()      401   never says which credential rule failed
    ├── not_found()         404
    ├── too_many()          429   with Retry-After
    └── unavailable()       503   with Retry-After: overload, or the database does not answer

Every other exception is a defect of ours: 500, with a request id that the logs hold as well.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

MAX_QUOTED: Final = 64
"""Characters of a caller's value that a message repeats at most."""
BEARER: Final = {"WWW-Authenticate": "Bearer"}


class ApiError(Exception):
    """An error response: its status, stable code, message and, where one is wrong, the parameter."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        parameter: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.parameter = parameter
        self.headers = dict(headers or {})


def bad_parameter(parameter: str, message: str) -> ApiError:
    """Return the error (400) of a wrong parameter; ``message`` says what is allowed."""
    return ApiError(400, "invalid_parameter", message, parameter)


def unauthorized() -> ApiError:
    """Return the error (401) of a missing or invalid credential; it is the same in every case."""
    return ApiError(
        401, "unauthorized", "A valid API key or token is required: Authorization: Bearer …", headers=BEARER
    )


def not_found(message: str, parameter: str | None = None) -> ApiError:
    """Return the error (404) of something that does not exist in the caller's workspace."""
    return ApiError(404, "not_found", message, parameter)


def too_many(message: str, retry_after: float) -> ApiError:
    """Return the error (429) of a rate limit; ``retry_after`` in seconds."""
    return ApiError(429, "rate_limited", message, headers=_retry(retry_after))


def unavailable(code: str, message: str, retry_after: float = 1) -> ApiError:
    """Return the error (503) of a service that cannot answer now; ``retry_after`` in seconds."""
    return ApiError(503, code, message, headers=_retry(retry_after))


def quotable(value: str) -> str:
    """Return a caller's value as a message may repeat it: short, without control characters."""
    return "".join(character if character.isprintable() else "\ufffd" for character in value[:MAX_QUOTED])


def _retry(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def error_response(error: ApiError, request_id: str) -> Response:
    """Return the response of an error; a 5xx carries the request id."""
    body = error_body(error.code, error.message, error.parameter)
    if error.status >= 500:
        body["error"]["request_id"] = request_id
    return json_response(body, error.status, error.headers)


def error_body(code: str, message: str, parameter: str | None = None) -> dict[str, dict[str, Any]]:
    """Return ``{"error": {"code", "message", "parameter"}}``; without a parameter the field is absent."""
    error = {"code": code, "message": message}
    return {"error": error if parameter is None else {**error, "parameter": parameter}}


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return ``body`` as compact JSON; numbers keep every digit."""
    return Response(encode(body), status, headers, "application/json")


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)


def encode(body: object) -> bytes:
    """Return ``body`` as compact UTF-8 JSON."""
    return _ENCODER.encode(body).encode("utf-8", "replace")
