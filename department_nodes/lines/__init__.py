"""Lines at a node: training with the same department's other regions, under secure aggregation and a privacy budget."""
