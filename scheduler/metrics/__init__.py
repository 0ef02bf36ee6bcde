"""Fleet metrics that the scheduler reads and exports; a process's own are `shared.observability.metrics`."""
