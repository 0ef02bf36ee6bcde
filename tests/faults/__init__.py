"""Fault injection: break one thing of a running fleet, restore it, and check what must hold.

`harness` runs real servers, simulated platforms and the services as processes, some of them `variants` with
one thing changed; `faults` lists what is broken; `judge` observes rows, requests and responses, and checks
the invariants with code of its own. `matrix` runs one round, `long_run` repeats rounds, `soak` runs without
faults for an hour.
See `python -m tests.faults --help`.
"""
