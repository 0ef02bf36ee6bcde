"""Tests of the whole system through its commands, its API and its events, on simulated platforms."""
