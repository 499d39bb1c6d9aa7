"""What the audit ledger costs: sealed durable records, verification, proofs, opening, bytes on disk."""
