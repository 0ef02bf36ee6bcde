"""The interleaving explorer: transactions that are correct alone must be correct together.

Terms, as the literature on concurrency testing has them:

operation     a function of the product that writes to PostgreSQL (claim, refresh, publish, reconnect …),
              run on a connection of its own in a thread of its own
step          one SQL statement, or one COMMIT, of an operation
interleaving  an order of the steps of several operations
schedule      an interleaving as text that can be replayed: `tests.interleavings.engine.schedule`
world         the rows that a run starts from
invariant     what must hold in the tables after every run: `tests.interleavings.model.invariants`

`engine` stops every operation before each step and resumes one of them, and so runs every interleaving that
locks allow, those with the fewest switches first, each from a restored world. Interleavings that differ only
in the order of independent steps are run once: `engine.footprint` finds dependent steps, and sleep sets prune
the others. PostgreSQL reports which session an operation waits for. `model` holds the operations, worlds and
invariants.

A sample runs in ``make test``. ``make interleavings`` searches every pair, within ``MINUTES=``, ``ONLY=`` and
``MOST=`` (the most schedules of one combination), resumes where it stopped, and reports in
build/interleavings. A failing interleaving is printed as the schedule with the fewest switches; pasted into
``test_schedules.py`` it is a regression test.
"""
