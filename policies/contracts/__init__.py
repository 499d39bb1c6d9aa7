"""The messages between the parties: the only types that the coordinator, the nodes and the auditors share."""
