"""Acts: opened records as they are read, with the purpose and the assets that they name or that their grant names.

A record of a step or of a refusal often names only its run. It is traced: to the grant (its own, else its run's, as the
coordinator recorded it), from the grant to purpose and assets (as request and signatures recorded them), else to the purpose
of its project. `traced` says that this was needed. Of the grant's assets those of the party that recorded are meant, where it
has one. Reads `opened.db` only.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from auditors.opened import OpenedRecords


@dataclass(frozen=True, slots=True)
class Act:
    """One entry of the log. `who`: the party that acted. Not `opened`: only what its header says is here. `grant`: 64 hex."""

    index: int
    at: int
    type: str
    producer: str
    who: str
    opened: bool
    fault: str = ""
    account: int = 0
    about: int = 0
    subject: str = ""
    project: str = ""
    run: str = ""
    attempt: int = 0
    round: int = 0
    step: str = ""
    code: str = ""
    grant: str = ""
    purpose: str = ""
    assets: tuple[str, ...] = ()
    traced: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """Return the act for JSON, without what it does not say, and with the command that proves it."""
        values: dict[str, Any] = {name: value for name in self.__slots__ if (value := getattr(self, name))}
        values |= {name: dict(values[name]) for name in ("counts", "hashes") if name in values}
        values |= {"assets": list(self.assets)} if self.assets else {}
        return {**values, "index": self.index, "opened": self.opened, "prove": proof_command(self.index)}


class Tracing:
    """What acts are traced to. Grants and their assets are few beside acts, so they are kept in memory."""

    def __init__(self, opened: OpenedRecords) -> None:
        self._connection = opened.connection

    def grant_of(self, row: sqlite3.Row) -> bytes | None:
        """Return the grant of a row of `records`: its own, else its run's."""
        own: bytes | None = row["grant_hash"]
        return own if own is not None or row["run"] is None else self._runs.get(row["run"])

    def purpose_of(self, grant: bytes | None, project: str | None) -> str:
        """Return the purpose of a grant, else of its project; empty where neither was recorded."""
        if grant is not None and grant in self.grants:
            named = self.grants[grant]
            return named["purpose"] or self._projects.get(named["project"] or project or "", "")
        return self._projects.get(project or "", "")

    def assets_of(self, grant: bytes | None, producer: str) -> tuple[str, ...]:
        """Return the assets of a grant: those of the producer where it has one among them."""
        assets = self._assets.get(grant, ()) if grant is not None else ()
        own = tuple(asset for asset in assets if asset.partition("/")[0] == producer)
        return own or assets

    @cached_property
    def grants(self) -> Mapping[bytes, sqlite3.Row]:
        """project, purpose and asker (who asked for it) of each grant."""
        return {row["grant_hash"]: row for row in self._connection.execute("SELECT * FROM grants")}

    @cached_property
    def _assets(self) -> Mapping[bytes, tuple[str, ...]]:
        found: dict[bytes, tuple[str, ...]] = {}
        for row in self._connection.execute("SELECT * FROM grant_assets ORDER BY grant_hash, asset"):
            found[row["grant_hash"]] = (*found.get(row["grant_hash"], ()), row["asset"])
        return found

    @cached_property
    def _runs(self) -> Mapping[str, bytes]:
        return {row["run"]: row["grant_hash"] for row in self._connection.execute("SELECT * FROM runs")}

    @cached_property
    def _projects(self) -> Mapping[str, str]:
        return {row["project"]: row["purpose"] for row in self._connection.execute("SELECT * FROM projects")}


class Acts:
    """The acts in an `opened.db`."""

    def __init__(self, opened: OpenedRecords) -> None:
        self.connection = opened.connection
        self.tracing = Tracing(opened)

    def where(self, condition: str, values: Mapping[str, Any] | None = None, order: str = "number") -> Iterator[Act]:
        """Yield the acts under a condition of SQL over `records`, in the order of the log. Values are bound, never written in."""
        # Conditions are this package's own texts.
        statement = f"SELECT * FROM records WHERE {condition} ORDER BY {order}"  # noqa: S608
        for row in self.connection.execute(statement, dict(values or {})):
            yield self.of_row(row)

    def of_row(self, row: sqlite3.Row) -> Act:
        """Return the act of a row of `records`."""
        body: Mapping[str, Any] = json.loads(row["body"]) if row["body"] else {}
        grant = self.tracing.grant_of(row)
        purpose, assets = row["purpose"] or "", tuple(body.get("assets", ()))
        traced = bool(row["opened"]) and not (purpose and assets)
        if traced:
            own_purpose, own_assets = purpose, assets
            purpose = purpose or self.tracing.purpose_of(grant, row["project"])
            assets = assets or self.tracing.assets_of(grant, row["producer"])
            traced = (purpose, assets) != (own_purpose, own_assets)
        return Act(
            index=row["number"],
            at=row["at"],
            type=row["type"],
            producer=row["producer"],
            who=row["actor"] or row["producer"],
            opened=bool(row["opened"]),
            fault=row["fault"] or "",
            account=row["account"] or 0,
            about=row["about"] or 0,
            subject=row["subject"] or "",
            project=row["project"] or "",
            run=row["run"] or "",
            attempt=body.get("attempt", 0),
            round=body.get("round", 0),
            step=row["step"] or "",
            code=row["code"] or "",
            grant=grant.hex() if grant is not None else "",
            purpose=purpose,
            assets=assets,
            traced=traced,
            counts=body.get("counts", {}),
            hashes=body.get("hashes", {}),
        )


def proof_command(index: int) -> str:
    """Return the command that makes a self-contained proof of an entry."""
    return f"doudi audit prove {index}"
