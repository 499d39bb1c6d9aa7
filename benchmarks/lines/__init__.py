"""What the lines cost and gain, measured: one module per part."""
