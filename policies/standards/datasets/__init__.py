"""The published data standards as files; the package makes them package data.

Read them through `policies.standards.loader`."""
