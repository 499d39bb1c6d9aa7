"""What a department says about its people: evidence levels, their sum-only code and what they would disclose."""
