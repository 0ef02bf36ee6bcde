"""Serves the materialized table; makes rows due; never calls a platform."""
