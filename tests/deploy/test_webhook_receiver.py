"""The receiver in the documentation verifies and stores what a sender sends."""

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import WebhookVerificationError

from shared.changes.cursor import BEGINNING, Cursor, Kind, Position
from shared.changes.feed import Change, Page
from shared.webhooks.endpoints import new_secret
from worker.webhooks.messages import Recipient, build, signed_headers

DOCUMENT = Path(__file__).parents[2] / "deploy/webhooks.md"
AT = datetime(2026, 6, 29, 9, tzinfo=UTC)


def receiver() -> dict[str, Any]:
    """Run the code of the document and return its names."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    own = [line for line in code.splitlines() if line and not line.startswith(("import", "from"))]
    assert len(own) <= 10
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - the document's own code
    return names


def delivery() -> Any:
    recipient = Recipient("whe_1", "ws_1", frozenset(), thin=False, redelivery=0, reset=False)
    body = {"type": "analytics.updated", "change": "7", "publication_id": "4711", "item": {"text": "für"}}
    change = Change(Position(7, Kind.PUBLICATION, 4711), AT, body)
    before = Cursor(BEGINNING, b"x" * 8, AT)
    message = build(recipient, Page([change], before, has_more=False), before, 50, skip_first=False).message
    assert message is not None
    return message


@pytest.mark.parametrize("valid", [True, False])
def test_documented_receiver_stores_what_is_signed_and_nothing_else(
    valid: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret, message = new_secret(), delivery()
    monkeypatch.setenv("SECRET", secret.get_secret_value() if valid else new_secret().get_secret_value())
    names = receiver()
    headers = signed_headers(message, [secret], datetime.now(UTC))

    async def post() -> int:
        transport = httpx.ASGITransport(names["app"])
        async with httpx.AsyncClient(transport=transport, base_url="http://receiver.test") as client:
            return (await client.post("/hooks", content=message.body.encode(), headers=headers)).status_code

    if valid:
        assert asyncio.run(post()) == 204
        assert names["stored"]["4711"]["item"]["text"] == "für"
    else:
        with pytest.raises(WebhookVerificationError):
            asyncio.run(post())
        assert names["stored"] == {}
