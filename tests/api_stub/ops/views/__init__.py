"""Tests of the pages of `/ops`."""
