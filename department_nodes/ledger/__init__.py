"""The node's part in the audit ledger: it seals its own events, waits for witnesses before it acts, and is a witness itself."""
