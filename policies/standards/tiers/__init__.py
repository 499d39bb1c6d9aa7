"""The published tiers as files; the package makes them package data.

Read them through `policies.standards.tier_loader`."""
