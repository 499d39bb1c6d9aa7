"""What the visits to a log saw, in the mirror's `state.json`. The auditor's own notes: nothing in them is signed by anybody."""

from typing import Annotated, Literal

from pydantic import Field

from policies.contracts.base import Document

MAXIMUM_VISITS = 500
MAXIMUM_REGRESSIONS = 1_000
Number = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Visit(Document):
    """What one `fetch` saw. `at`: seconds since 1970 UTC. `witnessed`: size of the newest witnessed checkpoint, 0 for none."""

    at: Number
    size: Number
    witnessed: Number
    batches: Number
    terms: Number


class Regression(Document):
    """A visit to which the log showed a smaller tree than to the one before: its two sizes."""

    at: Number
    before: Number
    after: Number


class StoreState(Document):
    """`batches`: how many the mirror's pages hold. `visits`: the last 500, oldest first; of equal ones in a row the last."""

    format_version: Literal[1] = 1
    url: str = ""
    batches: Number = 0
    visits: tuple[Visit, ...] = ()
    regressions: Annotated[tuple[Regression, ...], Field(max_length=MAXIMUM_REGRESSIONS)] = ()
