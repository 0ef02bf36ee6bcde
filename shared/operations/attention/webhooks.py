"""The rule about webhook endpoints."""

from collections.abc import Iterator

from shared.operations.attention.figures import Figures
from shared.operations.attention.need import Need


def disabled_webhooks(figures: Figures) -> Iterator[Need]:
    """Yield a line about the endpoints that our sender has disabled lately."""
    if not figures.disabled:
        return
    first = figures.disabled[0]
    if len(figures.disabled) == 1:
        cause = f"Webhook endpoint {first.endpoint_id} of {first.workspace_id} is disabled: {first.reason}"
        to_do = "The workspace repairs its receiver; then"
    else:
        number = len(figures.disabled)
        cause = f"{number} webhook endpoints are disabled, first {first.endpoint_id}: {first.reason}"
        to_do = "The workspaces repair their receivers; then, for each that `dravo webhooks list` names,"
    yield Need(
        "DravoWebhookDisabled",
        "warning",
        cause.rstrip("."),
        f"{to_do} `dravo webhooks enable {first.endpoint_id}`.",
        since=first.since,
        page="webhooks",
    )
