"""The audit ledger at the coordinator, which keeps, orders and publishes what it cannot open. Imports no torch, no Flower."""
