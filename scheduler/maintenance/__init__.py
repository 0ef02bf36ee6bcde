"""Slow work between claims: erasures, renewals, re-planning, retention; nothing here hands out a job."""
