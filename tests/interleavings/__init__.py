"""The interleaving explorer: two transactions that are each right must be right together.

Terms, as the literature on concurrency testing has them:

operation     a function of the product that writes to PostgreSQL (claim, refresh, publish, reconnect …),
              run on a connection of its own in a thread of its own
step          one SQL statement, or one COMMIT, of an operation
interleaving  an order of the steps of several operations
schedule      an interleaving written down, so that it can be replayed: `tests.interleavings.schedule`
world         the rows that a run starts from
invariant     what must hold in the tables after every run: `tests.interleavings.invariants`

`explorer` stops every operation before each step, lets one of them go on, and so runs every interleaving
that locks allow, depth first, each from a fresh copy of the world. Two interleavings that differ only in the
order of steps that cannot influence each other are run once: `footprint` tells which steps can, sleep sets
prune the rest. PostgreSQL itself is asked what an operation waits for (a row lock, an advisory lock, a key).

A sample runs in ``make test``. ``make interleavings`` searches every pair (``MINUTES=``, ``ONLY=``), goes on
where it stopped, and reports in build/interleavings. A failing interleaving is printed as the schedule with
the fewest switches; pasted into ``test_schedules.py`` it is a regression test.
"""
