"""The base of the node's tables."""

from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """Base of the node's tables."""
