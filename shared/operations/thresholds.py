"""The thresholds of the alerts, for colours and for what needs an operator: the numbers of ``rules.yaml``.

A test holds that both are equal, so that a page is red exactly where an alert fires.
"""

from typing import Final

OVERDUE_SECONDS: Final = 900
"""DravoOverdue: a due row that no pause holds up waits for longer."""
FRESH_SHARE: Final = 0.9
"""DravoNotFresh: a smaller share of the polled rows is fresh."""
NOT_FRESH_FOR_SECONDS: Final = 3600
"""For so long, until DravoNotFresh fires."""
NO_SCHEDULER_SECONDS: Final = 120
"""DravoNoScheduler: no scheduler has finished a tick, or written the summary, for longer."""
FAILING_SHARE: Final = 0.2
"""DravoRefreshesFail: a larger share of the refreshes fails."""
PAUSED_SECONDS: Final = 3600
"""DravoParked: a pause of more than one account lasts for longer from now."""
RECONNECT_SHARE: Final = 0.1
"""DravoAccountsNeedReconnect: a larger share of the connected accounts must be connected again."""
MANY_RECONNECTS: Final = 10
MANY_RECONNECTS_SHARE: Final = 0.25
"""From this number and this share of a platform's connected accounts on, one cause is likelier than many."""
WEBHOOK_DISABLED_SECONDS: Final = 3600
"""DravoWebhookDisabled: for so long after an endpoint was disabled."""

NUMBERS: Final = {
    "DravoOverdue": OVERDUE_SECONDS,
    "DravoNotFresh": FRESH_SHARE,
    "DravoNoScheduler": NO_SCHEDULER_SECONDS,
    "DravoRefreshesFail": FAILING_SHARE,
    "DravoParked": PAUSED_SECONDS,
    "DravoAccountsNeedReconnect": RECONNECT_SHARE,
}
"""The number that stands in the rule of each alert."""
