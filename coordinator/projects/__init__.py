"""Projects: one purpose, one lead, one region."""
