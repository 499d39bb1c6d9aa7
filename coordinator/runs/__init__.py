"""Runs: their state machine, keys, manifests, steps and results."""
