"""What a node registers and reports: signed, numbered, about itself only, and no value of a person."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from region import EXTRACT, LEAD, Region, Stages, edited

from crypto.errors import DoudiError
from crypto.signing import generate_signing_key
from department_nodes.accounts_of_runs import sent
from department_nodes.config import load_config, write_config
from department_nodes.governance.assets import asset_path, known_registration, register, sign_registration
from department_nodes.governance.reports import Reporter, known_report, sign_new_report
from department_nodes.governance.revocation_exchange import RevocationExchange, issue
from department_nodes.home import IDENTITY_KEY
from policies.contracts.assets import SignedAsset, sign_asset
from policies.contracts.node_reports import SignedNodeReport
from policies.contracts.revocations import RevocationList, SignedRevocationList, sign_revocations
from policies.contracts.steps import Step

NODE = "tax"


class Receiver:
    """The coordinator's side of a PUT; it may be away."""

    def __init__(self, answer: Callable[[str], Any] = lambda _: {}) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.away = False
        self._answer = answer

    def put_bytes(self, path: str, body: bytes) -> Any:
        if self.away:
            raise DoudiError("coordinator.unreachable", "away")
        self.received.append((path, body))
        return self._answer(path)


def identity_key(region: Region) -> str:
    return region.homes[NODE].public_keys.identity_key


# ---- reports ----


def test_a_report_says_what_left_what_was_refused_and_what_is_spent(region_before: Any, stages: Stages) -> None:
    region = region_before(None)
    engine = region.engines[NODE]
    region.ask(Step.BLIND, NODE, edited(stages.request(Step.BLIND, NODE), {"grant": b"{}"}))
    signed = sign_new_report(engine)
    assert signed is not None
    signed.verify(identity_key(region))
    report = signed.report
    assert (report.department, report.people, report.faults) == (NODE, engine.extract.load().people, 0)
    account = [(row["step"], row["kind"], row["items"], row["bytes"]) for row in sent(engine, "run-1")]
    assert [(row.step, row.kind, row.items, row.size_bytes) for row in report.sent[::-1]] == account
    assert [row.code for row in report.refusals] == ["document.malformed"]
    budgets = {row.name: row for row in report.budgets}
    assert budgets["evidence_in_a_year"].spent > 0
    assert budgets["labels_in_a_year"].spent == budgets["lines"].spent == 0
    assert budgets["lines"].cap == 8000
    (labels,) = [row for row in _report(region, LEAD).budgets if row.name == "labels_in_a_year"]
    assert labels.spent == 1000


def _report(region: Region, name: str) -> Any:
    signed = sign_new_report(region.engines[name])
    assert signed is not None
    return signed.report


def test_no_value_of_a_person_is_in_a_report_or_a_registration(region_before: Any, stages: Stages) -> None:
    region = region_before(None)
    for name in region.departments:
        engine = region.engines[name]
        report, asset = sign_new_report(engine), sign_registration(engine)
        assert report is not None
        table = pq.read_table(region.folder / name / EXTRACT)
        told = report.to_bytes() + asset.to_bytes()
        for number in table.column("resident_id").to_pylist():
            assert number.encode() not in told
        if "household_number" in table.column_names:
            assert not any(number.encode() in told for number in table.column("household_number").to_pylist())


def test_a_report_is_made_only_when_something_changed_and_its_number_grows(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    engine = region.engines[NODE]
    first = sign_new_report(engine)
    assert first is not None
    assert sign_new_report(engine) is None
    assert sign_new_report(region.restart(NODE)) is None
    assert region.ask(Step.BLIND, NODE, stages.request(Step.BLIND, NODE)) == "ok"
    second = sign_new_report(region.engines[NODE])
    assert second is not None
    assert second.report.number > first.report.number
    assert second.report.active_runs == 1
    # Also where the file was lost with a host: numbers are at least the time.
    (region.folder / NODE / "report.json").unlink()
    third = sign_new_report(region.engines[NODE])
    assert third is not None
    assert third.report.number >= int(region.clock())


def test_a_faulty_or_unreadable_extract_is_reported_as_faults(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    path = region.folder / NODE / EXTRACT
    table = pq.read_table(path)
    index = table.column_names.index("WAGP")
    wrong = pa.array([-5, -5, *table.column(index).to_pylist()[2:]], pa.int64())
    pq.write_table(table.set_column(index, "WAGP", wrong), path)
    report = _report(region, NODE)
    assert (report.people, report.faults) == (table.num_rows, 2)
    path.write_bytes(b"not a table")
    report = _report(region, NODE)
    assert (report.people, report.faults) == (0, 1)


def test_a_report_that_did_not_arrive_is_sent_again_as_it_is(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    receiver = Receiver()
    reporter = Reporter(region.engines[NODE], receiver)
    receiver.away = True
    with pytest.raises(DoudiError, match=r"coordinator\.unreachable"):
        reporter.report()
    stored = known_report(region.homes[NODE])
    assert stored is not None
    receiver.away = False
    assert reporter.report()
    assert receiver.received == [(f"/v1/parties/{NODE}/report", stored.to_bytes())]
    assert not reporter.report()
    # A new process sends the newest one once, for it does not know what arrived.
    assert Reporter(region.engines[NODE], receiver).report()
    assert receiver.received[1] == receiver.received[0]
    SignedNodeReport.parse(receiver.received[1][1]).verify(identity_key(region))


def test_a_site_that_withholds_its_report_sends_and_signs_none(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    region.set_policy(NODE, report_to_centre=False)
    receiver = Receiver()
    assert not Reporter(region.engines[NODE], receiver).report()
    assert receiver.received == []
    assert known_report(region.homes[NODE]) is None


# ---- assets ----


def test_a_registration_is_what_configuration_and_extract_say(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    region.set_policy(NODE, excluded_columns=("WAGP",))
    signed = sign_registration(region.engines[NODE])
    signed.verify(identity_key(region))
    asset = signed.asset
    assert (asset.owner, asset.dataset, asset.tier, asset.revision) == (NODE, NODE, "general_2", 1)
    assert asset.people == region.engines[NODE].extract.load().people
    assert "WAGP" not in asset.columns
    assert "PINCP" in asset.columns
    assert asset_path(asset) == "/v1/assets/tax/tax"


def test_a_registration_by_anybody_else_does_not_verify(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    signed = sign_registration(region.engines[NODE])
    for key in (generate_signing_key(), region.homes[LEAD].key("identity.key"), region.homes[NODE].key("approval.key")):
        with pytest.raises(DoudiError, match=r"asset\.bad_signature"):
            sign_asset(signed.asset, key).verify(identity_key(region))
    altered = SignedAsset(asset=signed.asset.model_copy(update={"tier": "general_1"}), signature=signed.signature)
    with pytest.raises(DoudiError, match=r"asset\.bad_signature"):
        altered.verify(identity_key(region))


def test_a_revision_is_used_for_one_content_and_grows_with_every_change(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    first = sign_registration(region.engines[NODE])
    assert sign_registration(region.restart(NODE)) == first
    config = load_config(region.folder / NODE)
    write_config(region.folder / NODE, config.model_copy(update={"allowed_purposes": ("statistics",)}))
    second = sign_registration(region.restart(NODE))
    assert (second.asset.revision, second.asset.allowed_purposes) == (2, ("statistics",))
    withdrawn = sign_registration(region.engines[NODE], withdrawn=True)
    assert (withdrawn.asset.revision, withdrawn.asset.withdrawn) == (3, True)
    assert known_registration(region.homes[NODE]) == withdrawn


def test_a_registration_that_did_not_arrive_is_sent_again_byte_for_byte(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    receiver: Any = Receiver()
    receiver.away = True
    with pytest.raises(DoudiError, match=r"coordinator\.unreachable"):
        register(region.engines[NODE], receiver)
    stored = known_registration(region.homes[NODE])
    assert stored is not None
    receiver.away = False
    assert register(region.engines[NODE], receiver) == stored
    assert receiver.received == [("/v1/assets/tax/tax", stored.to_bytes())]


def test_what_an_operator_withdrew_at_the_console_comes_back_with_a_new_revision(
    region_before: Any, stages: Stages
) -> None:
    region = region_before(Step.BLIND)
    receiver: Any = Receiver(lambda _: {"withdrawn": len(receiver.received) == 1})
    assert register(region.engines[NODE], receiver).asset.revision == 2
    assert [SignedAsset.parse(body).asset.revision for _, body in receiver.received] == [1, 2]


def test_a_faulty_extract_is_not_registered(region_before: Any, stages: Stages) -> None:
    region = region_before(Step.BLIND)
    (region.folder / NODE / EXTRACT).write_bytes(b"not a table")
    with pytest.raises(DoudiError, match=r"extract\."):
        sign_registration(region.engines[NODE])
    assert known_registration(region.homes[NODE]) is None


def test_two_signers_never_make_one_revision(region_before: Any) -> None:
    """The running node and an operator's command: each is a process of its own, here a thread."""
    engine = region_before(Step.BLIND).engines[NODE]
    with ThreadPoolExecutor(4) as signers:
        signed = list(signers.map(lambda _: sign_registration(engine, anew=True), range(12)))
    assert sorted(one.asset.revision for one in signed) == list(range(1, 13))


# ---- what the coordinator still has of before ----


class Former(Receiver):
    """The coordinator, which has a registration of before and refuses what is not newer, and has a list of before."""

    def __init__(self, asset: SignedAsset | None = None, listed: SignedRevocationList | None = None) -> None:
        super().__init__()
        self._asset, self._listed = asset, listed

    def put_bytes(self, path: str, body: bytes) -> Any:
        known = self._asset.asset.revision if self._asset is not None else 0
        if path.startswith("/v1/assets") and SignedAsset.parse(body).asset.revision <= known:
            raise DoudiError("asset.rollback", "a newer revision of the asset is registered")
        return super().put_bytes(path, body)

    def get(self, path: str) -> Any:
        if path.startswith("/v1/assets"):
            assert self._asset is not None
            return {"revision": self._asset.asset.revision, "signed": self._asset.model_dump(mode="json")}
        items = [self._listed.model_dump(mode="json")] if self._listed is not None else []
        return {"items": items, "next_cursor": None}


def later(region: Region, revision: int, key: bytes) -> SignedAsset:
    asset = sign_registration(region.engines[NODE]).asset
    return sign_asset(asset.model_copy(update={"revision": revision}), key)


def test_a_node_restored_from_a_backup_counts_on_from_its_own_registration(region_before: Any) -> None:
    region = region_before(Step.BLIND)
    coordinator = Former(later(region, 7, region.homes[NODE].key(IDENTITY_KEY)))
    assert register(region.engines[NODE], coordinator).asset.revision == 8
    assert len(coordinator.received) == 1


def test_a_revision_that_this_node_did_not_sign_is_not_believed(region_before: Any) -> None:
    """A coordinator that invents the highest number would use up every revision at once."""
    region = region_before(Step.BLIND)
    coordinator = Former(later(region, 2**31 - 2, generate_signing_key()))
    with pytest.raises(DoudiError, match=r"coordinator\.bad_answer"):
        register(region.engines[NODE], coordinator)
    stored = known_registration(region.homes[NODE])
    assert stored is not None
    assert stored.asset.revision == 1


@pytest.mark.parametrize("number", [41, 2**53 - 1, 2**53])
def test_a_list_by_another_key_neither_hides_this_nodes_nor_moves_its_number(region_before: Any, number: int) -> None:
    """A former node's, or one that the coordinator invented: else one answer would use up every number at once."""
    region = region_before(Step.BLIND)
    engine, now_s = region.engines[NODE], int(region.clock())
    before = issue(engine).content.number
    other = sign_revocations(RevocationList(party=NODE, number=number, issued_at=now_s - 60), generate_signing_key())
    coordinator = Former(listed=other)
    RevocationExchange(engine, coordinator).exchange()
    (handed_in,) = [SignedRevocationList.parse(body) for path, body in coordinator.received if "revocations" in path]
    handed_in.verify(engine.home.public_keys.revocation_key)
    assert handed_in.content.number == before
