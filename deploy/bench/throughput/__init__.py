"""The throughput benchmark: the services against prepared platforms, beside other designs."""
