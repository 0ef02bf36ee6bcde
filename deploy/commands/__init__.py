"""The commands of ``dravo``, one module or folder a family; what `/ops` also does: `shared.operations`."""
