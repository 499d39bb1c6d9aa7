"""The auditors: offline verification with their own list of keys. They trust neither coordinator nor departments."""
