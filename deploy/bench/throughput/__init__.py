"""The throughput benchmark: the services against prepared platforms, compared with other designs."""
