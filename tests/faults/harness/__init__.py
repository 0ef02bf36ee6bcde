"""What a round runs on: servers, services, clients and simulated accounts."""
