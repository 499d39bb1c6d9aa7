"""Requests for access: from a draft over the owners' and the centre's decisions to a grant in force, and its end."""
