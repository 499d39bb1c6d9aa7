"""What a node tells the centre about itself, for its own officers' and the centre's pages: checks, budgets, what it sent.

Integers, names and codes only. The coordinator relayed the messages and knows their sizes already; spent budgets are metadata of
the department, which its site policy can withhold (`report_to_centre = false`). May import crypto.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from crypto import signing
from crypto.errors import DoudiError
from policies.contracts.base import Document, Hash, SignatureHex, Slug

REPORT_SIGNATURE_DOMAIN = "node-report"
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$", max_length=80)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9 ,_-]{0,62}$")]


class BudgetReport(Document):
    """One budget of a node. `unit`: thousandths of ε, or bits per person. `reserved` includes `spent`."""

    name: Literal["labels_in_a_year", "evidence_in_a_year", "lines"]
    unit: Literal["epsilon_milli", "bits_per_person"]
    spent: Count
    reserved: Count
    cap: Count


class RefusalReport(Document):
    """A request that the node refused."""

    at: Count
    run_id: Slug | None
    step: Slug | None
    code: Code


class SentReport(Document):
    """One thing that left the node: the row of `doudi node show`."""

    run_id: Slug
    attempt: Annotated[int, Field(ge=1, le=10)]
    step: Slug
    receiver: Slug
    kind: Kind
    items: Count
    size_bytes: Count
    sent_at: Count


class NodeReport(Document):
    """A node's own account. `number` grows with every report; times are seconds since 1970 UTC.

    `faults`: how many rows of the extract break the data standard. `sent`: the newest rows only, newest first.
    """

    format_version: Literal[1] = 1
    department: Slug
    number: Annotated[int, Field(ge=1, le=2**53)]
    made_at: Count
    program_hash: Hash
    people: Count
    faults: Count
    active_runs: Count
    max_concurrent_runs: Annotated[int, Field(ge=1, le=64)]
    budgets: Annotated[tuple[BudgetReport, ...], Field(max_length=3)]
    refusals: Annotated[tuple[RefusalReport, ...], Field(max_length=50)] = ()
    sent: Annotated[tuple[SentReport, ...], Field(max_length=500)] = ()


class SignedNodeReport(Document):
    """A report and the signature of its node's identity key."""

    report: NodeReport
    signature: SignatureHex

    def verify(self, identity_key: str) -> None:
        """Raise `report.bad_signature` unless the node signed it."""
        try:
            signing.verify(
                bytes.fromhex(identity_key),
                REPORT_SIGNATURE_DOMAIN,
                self.report.to_bytes(),
                bytes.fromhex(self.signature),
            )
        except DoudiError as error:
            raise DoudiError("report.bad_signature", "the report is not signed by its node") from error


def sign_report(report: NodeReport, private: bytes) -> SignedNodeReport:
    """Return the report signed with the node's identity key."""
    return SignedNodeReport(
        report=report, signature=signing.sign(private, REPORT_SIGNATURE_DOMAIN, report.to_bytes()).hex()
    )
