"""The renewal of one account's tokens ahead of their end, with nothing read."""

import structlog

from shared.account_state import require_reconnect
from shared.vocabulary import AccountState
from worker import tokens
from worker.errors import Reauthorize, RefreshError
from worker.job import Tools
from worker.memory import FleetMemory
from worker.upstream import JobUpstream

_log = structlog.get_logger(__name__)


def renew_ahead(account_id: str, tools: Tools) -> None:
    """Renew the tokens of an account if they end soon; a second message for the same pair does nothing.

    A dead refresh token marks the account, exactly as a read would; other trouble waits for the next tick.
    """
    with tools.engine.begin() as connection:
        stored = tokens.load(connection, account_id, tools.vault)
    if stored is None or stored.state is not AccountState.ACTIVE:
        return
    account = stored.account
    if not tokens.ends_soon(account, tools.clock.now()):
        return
    adapter = tools.adapters[account.platform]
    memory = FleetMemory(tools.engine, account.platform)
    upstream = JobUpstream(tools.client, account.platform, account_id, memory)
    try:
        tokens.renew(tools.engine, tools.vault, stored, lambda current: adapter.renew(upstream, current))
    except Reauthorize as error:
        with tools.engine.begin() as connection:
            require_reconnect(
                connection, account.workspace_id, account_id, str(error), token_version=stored.token_version
            )
        _log.warning("requires_reconnect", account_id=account_id, detail=str(error))
    except RefreshError as error:
        _log.warning("early_renewal_failed", account_id=account_id, detail=str(error))
    else:
        _log.info("tokens_renewed", account_id=account_id, platform=account.platform.value)
