"""The ground floor: what two or more services need, and nothing else."""
