"""Which accounts a claim considers: timers, the queue of ready accounts, and the jobs in flight.

The cost of a claim follows the jobs that it hands out, not the accounts or rows that there are.

timer            a row of ``account_timers``: the instant at which a row of the account is due, or earlier
ready account    a row of ``ready_accounts``: an account whose timer has passed, in the order of its
                 virtual time, at which fair share serves it; claims read the head of this queue
paused account   a ready account whose virtual time is infinite: no claim reads it until a pause has ended

Invariant: every row that a claim may take is covered, in each lane that it belongs to, by a ready account or
by a timer that is due no later than the row (or no later than the instant at which the row was written).

Whatever moves a row earlier adds a timer in the same transaction. Triggers on ``refresh_state`` do it, so no
writer can forget it: no function of this package, no service of an earlier version, no session of psql. A
timer is inserted and deleted, never updated: writers wait neither for claims nor for each other.

A claim holds the advisory lock of an account (`locks`) while it deletes its timers and writes its ready row.
It then computes the next timer in a later statement, whose snapshot sees every row whose timer it deleted. A
row that another transaction has not committed yet has a timer that this claim did not see either.
"""
