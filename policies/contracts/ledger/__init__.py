"""What the parties agreed about the audit ledger: its records, its terms, batches of sealed entries, witnesses' evidence."""
