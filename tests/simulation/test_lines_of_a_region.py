"""What ties a region's main job to its lines: bits that stay at the nodes, and training that starts from a line's model."""

from dataclasses import replace

import numpy as np
import pytest
from region import LEAD, Region

from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from department_nodes.accounts_of_runs import reports
from department_nodes.lines.officers import LineTerms, draft_line_grant
from department_nodes.lines.released_bits import ReleasedBits, find_released_bits
from department_nodes.steps.linkage import rows_digest
from department_nodes.store.models import GrantRow, LineModelRow
from department_nodes.store.session import transaction
from department_nodes.training.line_model import LineNetwork, LineShape
from department_nodes.trust import pin
from policies.contracts.grant import LineGrant, SignedGrant

DEPARTMENTS = (LEAD, "health_disability", "tax")
TERMS = LineTerms("line-2026", "social_assistance", "all-regions", "public_coverage", "2026")

KEYS = ("identity_key", "approval_key", "scheduling_key", "revocation_key")


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    made = Region(tmp_path_factory.mktemp("lines") / "region", people=240, departments=DEPARTMENTS, lead_share=0.8)
    yield made
    made.close()


@pytest.fixture(scope="module")
def signed(region):
    """Return the region's grant, which gives its bits to lines, after one run."""
    agreed = region.sign(region.draft(modes=("evidence",), lines=True))
    region.run(agreed, region.schedule(agreed, mode="evidence"))
    return agreed


def line_of(region: Region, name: str, **changes: str) -> LineGrant:
    """Return a line's grant over this department and two of other regions, whose cards it has pinned."""
    own = region.cards[name]
    for other in ("north", "south"):
        keys = {field: signing_public_key(generate_signing_key()).hex() for field in KEYS}
        card = own.model_copy(update={"department": f"{other}-{name}", "region": other, **keys})
        pin(region.homes[name], card, replace=True)
    return draft_line_grant(region.homes[name], own, [f"north-{name}", f"south-{name}"], replace(TERMS, **changes))


def bits_of(region: Region, name: str, line: LineGrant) -> ReleasedBits:
    engine = region.engines[name]
    digest = rows_digest(engine.extract.load())
    return find_released_bits(engine.db, engine.vault, name, line, digest, int(region.clock()))


def adopt(region: Region, name: str, line: LineGrant, run_id: str) -> None:
    """Leave a line's model at a node, as the last step of a line does."""
    engine, project = region.engines[name], line.project_id
    extract = engine.extract.load()
    width = extract.standard.encoded_width(line.participants[0].columns)
    network = LineNetwork.initial(LineShape(width, 16), b"\2" * 32)
    grant = SignedGrant(grant=line)
    with transaction(engine.db) as session:
        engine.vault.join(session, project, 1)
        if session.get(GrantRow, grant.grant_hash) is None:
            session.add(
                GrantRow(grant_hash=grant.grant_hash, project_id=project, document=grant.to_bytes(), first_seen_at=1)
            )
            session.flush()
        session.add(
            LineModelRow(
                run_id=run_id,
                attempt=1,
                digest=network.digest(),
                grant_hash=grant.grant_hash,
                project_id=project,
                dataset=name,
                standard_version=1,
                target=line.target,
                document=network.to_bytes(),
                adopted_at=1,
            )
        )


def test_every_department_keeps_the_one_bit_of_a_household_that_was_released(region, signed):
    lead = bits_of(region, LEAD, line_of(region, LEAD))
    row_of = {number: row for row, number in enumerate(region.engines[LEAD].extract.load().resident_ids)}
    for name in DEPARTMENTS[1:]:
        own = bits_of(region, name, line_of(region, name))
        pairs = [
            (row, row_of[number])
            for row, number in enumerate(region.engines[name].extract.load().resident_ids)
            if number in row_of
        ]
        mine, theirs = (np.array(rows) for rows in zip(*pairs, strict=True))
        np.testing.assert_array_equal(own.target[mine], lead.target[theirs])
        np.testing.assert_array_equal(own.held_out[mine], lead.held_out[theirs])
        assert own.held_out.any()


@pytest.mark.parametrize("change", [{"purpose": "tax_audit"}, {"label_period": "2027"}, {"target": "other"}])
def test_bits_of_another_purpose_period_or_target_are_not_used(region, signed, change):
    with pytest.raises(DoudiError) as caught:
        bits_of(region, "tax", line_of(region, "tax", **change))
    assert caught.value.code == "line.no_bits"


def test_the_next_run_starts_from_the_lines_models_at_supporting_departments_and_lead(region, signed):
    for name in (LEAD, "tax"):
        line = line_of(region, name)
        # The same model again, of another run: each has its own row, and the first stays.
        adopt(region, name, line, "line-run-1")
        adopt(region, name, line, "line-run-2")
    manifest = region.schedule(signed, "run-2", 2, mode="evidence")
    region.run(signed, manifest)
    started = {name: reports(region.engines[name], "run-2")["training"]["start"] for name in DEPARTMENTS}
    assert started[LEAD] == "line"
    assert started["health_disability"] == "nothing"
    # The untrained model says nothing of need: used or left out, but never without a word.
    assert started["tax"] in ("line", "nothing")


def test_a_model_over_other_columns_is_no_start(region, signed):
    engine = region.engines["tax"]
    columns = region.cards["tax"].columns
    from department_nodes.lines.start import find_start

    assert find_start(engine.db, "tax", 1, "public_coverage", columns) is not None
    assert find_start(engine.db, "tax", 1, "public_coverage", columns[:-1]) is None
    assert find_start(engine.db, "tax", 1, "other", columns) is None
