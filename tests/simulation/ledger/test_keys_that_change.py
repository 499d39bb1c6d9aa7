"""Keys of every kind change in the life of one log: the log's own, a department's, the auditors'. It verifies as one to the end.

And each auditor opens exactly what was sealed while the terms named it.
"""

from collections.abc import Iterator

import pytest
from coordinator_world import DEPARTMENTS, public
from opened_records import Auditor
from typer.testing import CliRunner
from whole_ledger import WholeLedger

from auditors.acts import Acts
from auditors.home import Home
from auditors.opened import OpenedRecords
from auditors.opening_home import open_home_log
from coordinator.cli import app
from coordinator.config import write_config
from coordinator.events import Event, EventType, record
from crypto.errors import DoudiError
from crypto.ledger_entries import auditor_id, parse_wraps
from crypto.signing import generate_signing_key

LOG_KEY, IDENTITY, ADDED, REMOVED = 2, 3, 4, 5


class Changes:
    """A log through five periods; `keys`: the log's and the tax department's, oldest first. Each period ends witnessed."""

    def __init__(self, whole: WholeLedger) -> None:
        self.whole = whole
        self.log_keys = [whole.hands.terms.log_key]
        self.tax_keys = [public(whole.world.keys["tax"].identity)]
        self.findings: dict[int, set[str]] = {}
        self.while_other_key: list[str] = []
        self._live(1)
        self._rotate_log_key()
        self._live(LOG_KEY)
        self._replace_identity_key()
        self._live(IDENTITY)
        whole.people["parliament"] = Auditor("parliament")
        whole.hands.name_witnesses(auditors=tuple(whole.people.values()))
        self._live(ADDED)
        whole.hands.name_witnesses(auditors=(whole.people["parliament"],))
        self._live(REMOVED)

    def _live(self, period: int) -> None:
        """Have every party record something of this period and be witnessed; then the first auditor comes by."""
        # Everybody has taken the terms in force before it acts.
        self.whole.settle()
        for name in DEPARTMENTS:
            self.whole.nodes[name].act(period)
        with self.whole.world.begin() as session:
            record(session, Event(EventType.RUN_STARTED, "coordinator", run_id=f"run-{period}"))
        size = self.whole.settle()
        assert self.whole.witnessed_size() == size
        home = self.whole.auditor_home("court")
        card = home.cards_folder / "tax.json"
        card.write_bytes(self.whole.world.card("tax").to_bytes())
        self.findings[period] = self.whole.visit(home)

    def _rotate_log_key(self) -> None:
        whole = self.whole
        write_config(whole.world.config, whole.world.config.home)
        rotated = CliRunner().invoke(app, ["ledger", "rotate-key", "--home", str(whole.world.config.home)])
        assert rotated.exit_code == 0, rotated.output
        whole.restart()
        key = (whole.world.config.home / "ledger" / "log.pub").read_text().strip()
        with whole.world.begin() as session:
            record(session, Event(EventType.RUN_STARTED, "coordinator", run_id="run-while-no-terms-name-the-key"))
        with pytest.raises(DoudiError) as refused:
            whole.hands.advance()
        self.while_other_key.append(refused.value.code)
        assert whole.hands.put_terms(whole.hands.next_terms(log_key=key)).status_code == 201
        self.log_keys.append(key)

    def _replace_identity_key(self) -> None:
        whole, key = self.whole, generate_signing_key()
        whole.world.keys["tax"].identity = key
        card = whole.world.card("tax").to_bytes()
        assert whole.world.send("centre", "POST", "/v1/parties?replace=true", card).status_code == 201
        whole.nodes["tax"].replace_key(key)
        whole.hands.name_witnesses()
        self.tax_keys.append(public(key))


@pytest.fixture(scope="module")
def changes(tmp_path_factory, migrated) -> Iterator[Changes]:
    whole = WholeLedger(tmp_path_factory.mktemp("keys-that-change"), migrated)
    yield Changes(whole)
    whole.close()


def placed(changes: Changes) -> list:
    return [batch for _, batch in changes.whole.auditor_home("court").store.batches(0)]


def opened_by(home: Home, origin: str):
    """Return the acts that an auditor sees, after a visit and a verification."""
    open_home_log(home)
    with OpenedRecords.create(home.opened_file, origin) as opened:
        return list(Acts(opened).where("TRUE"))


def periods_of(acts) -> dict[str, set[int]]:
    """Return the periods of which an auditor reads something, by producer."""
    found: dict[str, set[int]] = {}
    for act in acts:
        if act.opened and act.type == "node.report.signed":
            found.setdefault(act.producer, set()).add(act.counts["number"])
        elif act.opened and act.run.startswith("run-") and act.run[4:].isdigit():
            found.setdefault(act.producer, set()).add(int(act.run[4:]))
    return found


def test_the_log_verifies_after_each_change_and_from_its_first_entry(changes, tmp_path):
    assert changes.findings == {period: set() for period in (1, LOG_KEY, IDENTITY, ADDED, REMOVED)}
    assert changes.whole.visit(changes.whole.auditor_home("court"), full=True) == set()
    # Also for somebody who comes for the first time.
    assert changes.whole.visit(changes.whole.auditor_home("parliament"), full=True) == set()


def test_until_terms_name_a_new_log_key_nothing_is_signed_with_it_and_nothing_is_lost(changes):
    assert changes.while_other_key == ["ledger.other_log_key"]
    batches = placed(changes)
    signers = [batch.signer.hex() for batch in batches if batch.producer == "coordinator"]
    assert sorted(set(signers), key=signers.index) == changes.log_keys
    acts = opened_by(changes.whole.auditor_home("court"), changes.whole.hands.terms.origin)
    assert "run-while-no-terms-name-the-key" in {act.run for act in acts}


def test_each_key_of_a_department_counts_from_one_and_no_number_is_missing(changes):
    numbers: dict[str, list[int]] = {}
    for batch in placed(changes):
        if batch.producer == "tax":
            numbers.setdefault(batch.signer.hex(), []).extend(
                range(batch.first_sequence, batch.first_sequence + batch.count)
            )
    assert list(numbers) == changes.tax_keys
    for found in numbers.values():
        assert found == list(range(1, len(found) + 1))


def test_each_auditor_opens_exactly_what_was_sealed_to_it(changes):
    whole = changes.whole
    seen = {"court": {1, LOG_KEY, IDENTITY, ADDED}, "parliament": {ADDED, REMOVED}}
    for name, periods in seen.items():
        home = whole.auditor_home(name)
        assert whole.visit(home) == set()
        acts = opened_by(home, whole.hands.terms.origin)
        assert periods_of(acts) == {producer: periods for producer in ("coordinator", *DEPARTMENTS)}
        own = auditor_id(bytes.fromhex(whole.people[name].card.sealing_key))
        expected = [own in parse_wraps(batch.wraps) for _, batch in home.store.batches(0) for _ in range(batch.count)]
        assert [act.opened for act in acts] == expected
        assert not {act.fault for act in acts} - {""}
