"""What the parties agreed: contracts, data standards, tiers. No code of either party; may import crypto only."""
