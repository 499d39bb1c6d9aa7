"""A department's node: it keeps the department's data, checks every request itself and answers through Flower."""
