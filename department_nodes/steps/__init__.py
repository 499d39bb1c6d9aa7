"""The steps of a run at the node: each takes a request that the guard has verified and returns what may leave."""
