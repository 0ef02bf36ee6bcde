"""A simulation of posts, readers and policies, for `dravo replay-freshness` and the benchmark."""
