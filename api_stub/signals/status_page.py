"""The status of a data-deletion request, in words, for the person who made it at Meta."""

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from api_stub.http.errors import not_found
from api_stub.service import service_of
from api_stub.signals.signal import CODE_LENGTH

_CODE: Final = re.compile(f"[0-9a-f]{{{CODE_LENGTH}}}")
_STATUS: Final = """
SELECT s.received_at, s.processed_at,
       COALESCE(jsonb_array_length(s.result->'erasures'), 0) AS erasures,
       COALESCE(CAST(s.result->>'connected_since' AS int), 0) AS connected_since,
       (SELECT count(*) FROM erasures e
         WHERE e.ended_at IS NOT NULL AND s.result->'erasures' ? e.code) AS ended,
       (SELECT max(e.ended_at) FROM erasures e WHERE s.result->'erasures' ? e.code) AS ended_at
  FROM signals s
 WHERE s.signal_id LIKE %(prefix)s AND s.kind = 'deletion' AND s.platform = %(platform)s LIMIT 1
"""


async def deletion_status(request: Request) -> Response:
    """Answer with one sentence; 404 for a code that nobody was given."""
    platform, code = request.path_params["platform"], request.path_params["code"]
    if not (_CODE.fullmatch(code) and platform.isalpha()):
        raise not_found("no deletion request has this code")
    bound = {"prefix": f"{platform}:{code}%", "platform": platform}
    rows = await service_of(request).database.fetch(_STATUS, bound)
    if not rows:
        raise not_found("no deletion request has this code")
    received_at, processed_at, erasures, connected_since, ended, ended_at = rows[0]
    if processed_at is None:
        sentence = f"Your request of {received_at:%d %B %Y} was received and is about to be processed."
    elif not erasures and connected_since:
        sentence = (
            "The account was connected here again after your request, so its data was not deleted."
            " To have it deleted, send the request again."
        )
    elif not erasures:
        sentence = "Your request was processed: nothing is stored here about your account."
    elif ended < erasures:
        sentence = f"Your data is being deleted: {ended} of {erasures} accounts are done."
    else:
        sentence = f"Your data was deleted on {ended_at:%d %B %Y}. Backups expire within 35 days."
    return PlainTextResponse(sentence + "\n")
