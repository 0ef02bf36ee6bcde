"""Tests of the charts of `/ops`."""
