"""The environment of a round: servers, services, clients and simulated accounts. It knows no fault."""
