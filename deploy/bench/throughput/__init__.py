"""The throughput benchmark: the services against prepared platforms, beside the queue's own speed and a naive design."""
