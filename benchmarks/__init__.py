"""What the README claims, measured: `make bench`. Outside every party."""
