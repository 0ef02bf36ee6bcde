"""The fault matrix: break one thing of a running system, heal it, and check what must hold.

`stage` sets up real servers, simulated platforms and a seeded world; `fleet` runs the services as processes;
`journal`, the simulators' request log and `reader` watch; `catalogue` lists the faults; `invariants` judges
with code of its own; `matrix` plays rounds; `report` tells. `python -m tests.faults --help`.
"""
