"""The rules of who may do what, in Cedar, and the one module that evaluates them."""
