"""The published line models as files; the package makes them package data.

Read them through `policies.standards.model_loader`."""
