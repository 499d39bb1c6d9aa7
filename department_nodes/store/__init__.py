"""The node's database: what makes a node resume, refuse repetition and show what it sent."""
