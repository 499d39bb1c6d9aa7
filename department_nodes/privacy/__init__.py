"""Differential privacy of a line: randomness, mechanisms, the accountant, the budget that is never exceeded, and its audit."""
