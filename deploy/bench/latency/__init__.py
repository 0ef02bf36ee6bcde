"""The latency benchmark: what somebody waits for, with an idle fleet and with many rows due."""
