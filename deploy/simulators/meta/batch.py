"""The parser of Batch API requests.

https://developers.facebook.com/docs/graph-api/batch-requests
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from deploy.simulators.meta import errors
from deploy.simulators.meta.call import Call, build
from deploy.simulators.meta.errors import INSTAGRAM_HOST, GraphError

MAX_BATCH = 50


def batch_items(call: Call) -> list[Mapping[str, Any]]:
    """Return the items of a batch request. Raises `GraphError` for a batch that the Graph API refuses."""
    if call.host == INSTAGRAM_HOST:
        raise errors.not_on_behalf("1", "0")  # no batches there
    if "batch" not in call.parameters:
        raise errors.missing_object("", "post")
    items = call.parameters["batch"]
    if isinstance(items, str):
        try:
            items = json.loads(items)
        except ValueError:
            items = None
    if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
        raise GraphError(100, "param batch must be an array.")
    if len(items) > MAX_BATCH:
        message = f"Too many requests in batch message. Maximum batch size is {MAX_BATCH}"
        raise GraphError(None, message, kind="GraphBatchException")
    return items


def batch_call(outer: Call, item: Mapping[str, Any]) -> Call:
    """Parse one item of a batch: without a token of its own, it uses the batch's token and proof."""
    path, _, query = str(item.get("relative_url", "")).partition("?")
    own = dict(parse_qsl(query, keep_blank_values=True))
    if "access_token" not in own and "appsecret_proof" in outer.query:
        own["appsecret_proof"] = outer.query["appsecret_proof"]
    call = build(outer.host, str(item.get("method", "GET")).upper(), path, own, own, outer.token)
    return replace(call, version=call.version or outer.version, headers=outer.headers)
