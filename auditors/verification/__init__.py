"""Verification of a stored log, offline: each step is a module and collects findings instead of stopping at the first."""
