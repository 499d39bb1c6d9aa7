"""Parties: departments and the centre, their public keys, and how each request is authenticated."""
