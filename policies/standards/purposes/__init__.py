"""The published purposes as files; the package makes them package data.

Read them through `policies.standards.purpose_loader`."""
