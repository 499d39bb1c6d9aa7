"""Grants: signed agreements, their signatures gathered here and verified by every node for itself."""
