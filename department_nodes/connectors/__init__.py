"""How a node reads its department's extract, from a file or a database, and finds its faults before anything leaves."""
