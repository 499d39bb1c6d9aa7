"""Who may do what at the coordinator: principals, decisions with their deciding rules, and changes of the rules."""
