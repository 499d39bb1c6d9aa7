"""What the governance costs: decisions, grants at a node, pages of the console, the start of the coordinator."""
