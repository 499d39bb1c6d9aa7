"""Local training of one department: the encoding of its columns and its evidence model."""
