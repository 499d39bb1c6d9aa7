"""The base of every table, with fixed constraint names so that migrations can name what they change."""

from sqlalchemy import BigInteger, Integer, MetaData
from sqlalchemy.orm import DeclarativeBase

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# SQLite numbers rows by itself only in a column that is declared INTEGER.
RowNumber = BigInteger().with_variant(Integer, "sqlite")
# Seconds since 1970 UTC do not fit into 32 bits after 2038.
UnixSeconds = BigInteger


class Base(DeclarativeBase):
    """The base of the coordinator's tables."""

    metadata = MetaData(naming_convention=NAMING)
