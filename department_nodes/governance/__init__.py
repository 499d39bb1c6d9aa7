"""A department's acts of governance: its asset, requests and their approval, revocation, and what it tells the centre."""
