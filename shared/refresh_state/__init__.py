"""The state machine of a publication's refresh: every statement that writes the table ``refresh_state``.

A row's state is its ``reason`` together with its claim. Whoever decides on a transition lives elsewhere and
calls a function here; `invariants` holds the query that finds rows which no transition will reach any more.

                  insert                                          delete (with its publication)
                    |                                                          ^
      +-------------+---------------+------------------+                       |  from every state
      v                             v                  v
    waiting <--- make_due ------ stopped            blocked <--- block --- any state but quarantined
      |  ^                          ^                  |
      |  |                          |                  +-- unblock ---> waiting or stopped
    claim|                          |
      |  +--- finish, release_claim |
      v  |                          |
    claimed ---------- finish ------+--- finish ---> quarantined --- unquarantine ---> waiting or blocked
      |  ^
      +--+  start, extend, and claim once the lease has expired

States:
    waiting    new, stale, read, forced, manual, reconnected, retry, paused, unconfirmed, processing:
               ``next_run_at`` is set, ``claimed_at`` is not; ``later`` until it has passed, then ``due``.
    claimed    ``claimed_at`` is set; ``next_run_at`` is the end of the lease, in the future.
    expired    ``claimed_at`` is set and the lease has ended: the row is due again.
    stopped, blocked, quarantined
               ``next_run_at`` is empty: no tick takes the row.

Transitions. A row in a state that the second column does not name stays as it is. Effects on
``claim_seq``, ``attempts``, ``unfinished`` and ``priority``: ``=`` keeps the value, ``+1`` counts, ``set``
stores the caller's value, ``max`` keeps the higher of both.

    transition         from                     to                              seq  att  unf  prio
    -----------------  -----------------------  ------------------------------  ---  ---  ---  ----
    insert             no row                   new stopped blocked             0    0    0    set
    make_due read      later                    read                            =    =    =    max
    make_due forced    waiting expired stopped  forced                          =    =    =    max
    make_due forced    claimed                  claimed                         =    =    =    max
    make_due manual    waiting expired stopped  manual                          =    =    =    max
    make_due manual    claimed                  claimed                         =    =    =    max
    make_deferred_due  paused                   paused                          =    =    =    =
    promote            due                      same                            =    =    =    1
    replan             stale                    stale                           =    =    =    =
    claim              due expired              claimed                         +1   =    =    =
    release_claim      claimed expired          stale                           +1   =    =    =
    start              claimed expired          claimed                         +1   +1   +1   =
    extend             claimed expired          claimed                         =    =    =    =
    finish             claimed expired          stale unconfirmed processing    =    set  0    0
    finish             claimed expired          stopped blocked quarantined     =    set  0    0
    finish             claimed expired          paused retry                    =    set  0    =
    block              all but quarantined      blocked                         +1   0    0    0
    unblock            blocked                  reconnected stopped             +1   0    0    =
    id_arrived         all but quarantined      new blocked                     +1   0    0    max
    unquarantine       quarantined              manual blocked                  +1   0    0    =
    delete             all                      no row

``claim_seq`` is the fencing token: a transition that takes a row away from its worker counts it, so that the
worker's own ``finish`` finds no row. ``make_due`` of a claimed row raises the priority alone and leaves the
row with its worker; an expired row keeps its open claim until it is claimed again. ``make_due`` changes a row
that is due only to raise its priority, and no row of an account that is not active. ``claim`` also takes
``stale`` rows that are nearly due along with due ones of their account. ``attempts`` counts starts in a row
without a completed sync, ``unfinished`` those that recorded nothing.

Triggers of the table insert a timer of the account whenever a row moves earlier: a claim finds the row by it
(`shared.refresh_state.ready`).

Locks: accounts and pauses before rows of this table; rows in the order of ``publication_id``. A claim never
waits for a row.
"""
