"""Revocation lists: relayed between the parties, and what they take back is stopped here at once."""
