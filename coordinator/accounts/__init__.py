"""Accounts of people: roles, sign-in with two factors, sessions, API tokens, and sign-in through an identity provider."""
