"""What every party's command line shares: exit codes, two languages, tables, how an error looks. May import crypto only."""
