"""The commands of ``dravo``, one module a family; what the operators' page also does: `shared.operations`."""
