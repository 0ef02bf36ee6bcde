"""Tests, in folders that mirror the source tree. What several folders use lies at the top."""
