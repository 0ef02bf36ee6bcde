"""The whole system on one machine: embedded servers, processes, demo data."""
