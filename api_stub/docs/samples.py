"""The Python samples of the API reference. Scalar makes those for curl, with the key of its key field."""

from typing import Final

_CLIENT: Final = """\
import os

import httpx

client = httpx.Client(
    base_url=os.environ["DRAVO_URL"],
    headers={"Authorization": f"Bearer {os.environ['DRAVO_API_KEY']}"},
)
"""
_POSTS: Final = """\
page = client.get("/v1/analytics/posts", params={"platform": "instagram", "limit": 10})
for item in page.raise_for_status().json()["items"]:
    print(item["post_id"], item["sync_status"], item["metrics"])
"""
_HISTORY: Final = """\
history = client.get("/v1/analytics/posts/post_2a7f93/history", params={"interval": "day"})
for publication in history.raise_for_status().json()["publications"]:
    for snapshot in publication["snapshots"]:
        print(publication["platform"], snapshot["taken_at"], snapshot["metrics"])
"""
_CHANGES: Final = """\
cursor = None
while True:
    parameters = {"cursor": cursor} if cursor else {}
    page = client.get("/v1/analytics/changes", params=parameters).raise_for_status().json()
    for change in page["changes"]:
        print(change["type"], change["change"])
    cursor = page["cursor"]
    if not page["has_more"]:
        break  # store the cursor, and continue with it later
"""
_EVENTS: Final = """\
import os

import httpx

event = {
    "event_id": "evt_91b2",
    "type": "publication.published",
    "data": {
        "post_id": "post_2a7f93",
        "account_id": "acc_8f2c1d",
        "platform_post_id": "18000000000000000",
        "created_at": "2026-06-23T10:15:30Z",
    },
}
response = httpx.post(
    f"{os.environ['DRAVO_URL']}/internal/events",
    json=event,
    headers={"Authorization": f"Bearer {os.environ['DRAVO_INTERNAL_TOKEN']}"},
)
print(response.raise_for_status().json())
"""


def _python(source: str) -> dict[str, list[dict[str, str]]]:
    return {"x-codeSamples": [{"lang": "python", "label": "Python", "source": source}]}


LIST_POSTS: Final = _python(_CLIENT + _POSTS)
LIST_HISTORY: Final = _python(_CLIENT + _HISTORY)
LIST_CHANGES: Final = _python(_CLIENT + _CHANGES)
RECEIVE_EVENTS: Final = _python(_EVENTS)
