"""`doudi centre ledger`, and how `init` and `register` see to the ledger: `coordinator/cli`, `coordinator/keeping_terms.py`."""

import json
import socket
import stat
import threading
import time
from dataclasses import replace

import pytest
import uvicorn
from coordinator_world import DEPARTMENTS, Keys, World
from ledger_hands import Hands
from opened_records import Auditor
from typer.testing import CliRunner

from coordinator.app import create_app
from coordinator.cli import app
from coordinator.config import load_config
from coordinator.db.session import open_engine, upgrade
from coordinator.ledger.founding import load_log_key
from crypto.signing import signing_public_key
from policies.contracts.ledger.terms import AuditorCard, SignedLedgerTerms, sign_terms


def call(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def as_json(*arguments):
    return json.loads(call(*arguments, "--json").stdout)


class Served:
    """A coordinator that `doudi centre init` made, served over TLS, with its officer's folder and its departments."""

    def __init__(self, home, officer):
        self.home, self.officer = home, officer
        self.keys = {name: Keys() for name in DEPARTMENTS}
        self._server = None

    @property
    def folder(self):
        return ["--officer-home", self.officer]

    def start(self):
        config = load_config(self.home)
        api = create_app(config, register_flower_node=lambda name, key: None)
        settings = {
            "ssl_certfile": str(config.path(config.tls_certificate_file)),
            "ssl_keyfile": str(config.path(config.tls_key_file)),
        }
        self._server = uvicorn.Server(
            uvicorn.Config(api, config.api_host, config.api_port, log_level="error", ws="none", **settings)
        )
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.001)
        approval, api_key = (bytes.fromhex((self.officer / name).read_text()) for name in ("approval.key", "api.key"))
        auditor = Auditor.in_folder(self.officer / "auditor") if (self.officer / "auditor").is_dir() else Auditor()
        self.world = World(config, api_key, approval, self.keys, auditor=auditor, now=time.time())
        self.hands = Hands(self.world)
        return self

    def stop(self):
        if self._server is not None:
            self._server.should_exit = True
            self._thread.join()
            self._server = None

    def register(self, tmp_path, *departments):
        paths = []
        for department in departments or DEPARTMENTS:
            paths.append(tmp_path / f"{department}.json")
            paths[-1].write_bytes(self.world.card(department).to_bytes())
        return call("register", *paths, *self.folder)

    def published(self):
        """Wait until everything recorded so far is in a checkpoint."""
        while True:
            found = as_json("ledger", "status", *self.folder)
            if not found["waiting"] and found["latest"] and found["latest"]["size"] == found["placed"]:
                return found
            time.sleep(0.01)


@pytest.fixture
def installed(tmp_path, unused_tcp_ports):
    port, fleet, superlink = unused_tcp_ports
    home, officer = tmp_path / "coordinator", tmp_path / "officer"
    ports = ["--port", port, "--fleet-port", fleet, "--superlink-port", superlink]
    return home, officer, lambda *more: call("init", "--home", home, "--officer-home", officer, *ports, *more)


@pytest.fixture
def unused_tcp_ports():
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


@pytest.fixture
def served(installed):
    home, officer, init = installed
    init()
    found = Served(home, officer).start()
    yield found
    found.stop()


# Founding


def test_init_makes_a_first_auditor_in_the_officers_folder_and_says_so(installed):
    home, officer, init = installed
    said = init().stderr
    assert "no auditor was appointed" in said
    keys = officer / "auditor" / "keys"
    card = AuditorCard.parse((keys / "card.json").read_bytes())
    for name in ("sealing.key", "signing.key"):
        assert stat.S_IMODE((keys / name).stat().st_mode) == 0o600
    terms = SignedLedgerTerms.parse((home / "ledger" / "terms.json").read_bytes()).terms
    assert terms.auditors == (card,)
    # Nothing with which the records could be opened lies on the coordinator's host.
    secret = (keys / "sealing.key").read_bytes()
    assert not any(secret in path.read_bytes() for path in home.rglob("*") if path.is_file())


def test_init_with_auditors_makes_none(installed, tmp_path):
    home, officer, init = installed
    court, office = Auditor("court"), Auditor("audit-office")
    paths = []
    for auditor in (court, office):
        paths += ["--auditor", tmp_path / f"{auditor.name}.json"]
        paths[-1].write_bytes(auditor.card.to_bytes())
    said = init(*paths).stderr
    assert court.card.fingerprint() in said
    assert "no auditor was appointed" not in said
    assert not (officer / "auditor").exists()
    terms = SignedLedgerTerms.parse((home / "ledger" / "terms.json").read_bytes()).terms
    assert terms.auditors == (court.card, office.card)
    assert terms.origin.startswith("127.0.0.1:")


def test_init_refuses_other_files_as_auditors(installed, tmp_path):
    home, _, init = installed
    (tmp_path / "card.json").write_text("{}")
    result = CliRunner().invoke(
        app,
        ["init", "--home", str(home), "--officer-home", str(tmp_path / "o"), "--auditor", str(tmp_path / "card.json")],
    )
    assert result.exit_code == 5
    assert "document.malformed" in result.stderr
    assert not home.exists()
    init()


def test_an_installation_of_before_the_ledger_founds_it_once(installed):
    home, officer, init = installed
    init()
    for path in [*(home / "ledger").iterdir(), *(officer / "auditor" / "keys").iterdir()]:
        path.unlink()
    (home / "coordinator.db").unlink()
    engine = open_engine(load_config(home).resolved_database_url)
    upgrade(engine)
    engine.dispose()
    assert "ledger.not_set_up" in call("run", "--home", home, code=3).stderr
    found = as_json("ledger", "found", "--home", home, "--officer-home", officer)
    assert found["auditors"] == 1
    again = call("ledger", "found", "--home", home, "--officer-home", officer, code=5)
    assert "install.exists" in again.stderr
    served = Served(home, officer).start()
    try:
        assert as_json("ledger", "status", *served.folder)["terms"] == 1
    finally:
        served.stop()


# Terms


def test_registering_makes_the_departments_witnesses(served, tmp_path):
    said = served.register(tmp_path, "health", "tax")
    assert "ledger terms 2 in force: 1 auditors, 2 witnesses, 2 must cosign, 0 may be faulty" in said.stderr
    assert [one.department for one in served.hands.terms.witnesses] == ["health", "tax"]
    # The same again signs nothing; more of them are added.
    assert "ledger terms" not in served.register(tmp_path, "health").stderr
    served.register(tmp_path, "civil_affairs", "housing")
    terms = served.hands.terms
    assert (terms.number, len(terms.witnesses), terms.quorum) == (3, 4, 3)
    # A department may submit at once.
    assert served.hands.submit(served.hands.sealed("tax", 1)).status_code == 200


def test_a_replaced_key_is_the_witnesses_key_from_then_on(served, tmp_path):
    served.register(tmp_path)
    served.keys["tax"] = served.world.keys["tax"] = Keys()
    path = tmp_path / "tax.json"
    path.write_bytes(served.world.card("tax").to_bytes())
    call("register", path, "--replace", *served.folder)
    assert served.hands.submit(served.hands.sealed("tax", 1)).status_code == 200


def test_the_officer_chooses_how_many_may_be_faulty_and_how_old_a_checkpoint_may_be(served, tmp_path):
    served.register(tmp_path)
    found = as_json("ledger", "renew-terms", "--faulty", 0, "--max-age-s", 60, *served.folder)
    assert found == {"number": 3, "auditors": 1, "witnesses": 4, "quorum": 3, "faulty": 0, "changed": True}
    assert served.hands.terms.checkpoint_max_age_s == 60
    again = call("ledger", "renew-terms", *served.folder)
    assert "ledger terms 3 stay" in again.stdout
    assert "ledger.bad_terms" in call("ledger", "renew-terms", "--faulty", 4, *served.folder, code=3).stderr
    assert served.hands.terms.number == 3


def test_auditors_are_added_and_removed(served, tmp_path):
    court = Auditor("court")
    (tmp_path / "card.json").write_bytes(court.card.to_bytes())
    said = call("ledger", "add-auditor", tmp_path / "card.json", *served.folder)
    assert court.card.fingerprint() in said.stderr
    assert [card.auditor for card in served.hands.terms.auditors] == ["founding-auditor", "court"]
    assert as_json("ledger", "remove-auditor", "founding-auditor", *served.folder)["auditors"] == 1
    assert served.hands.terms.auditors == (court.card,)
    assert "ledger.no_auditor" in call("ledger", "remove-auditor", "court", *served.folder, code=3).stderr
    assert "ledger.unknown_auditor" in call("ledger", "remove-auditor", "nobody", *served.folder, code=3).stderr


def test_a_coordinator_that_shows_other_terms_is_found(served, tmp_path):
    served.register(tmp_path)
    pinned = served.officer / "ledger-terms.json"
    known = SignedLedgerTerms.parse(pinned.read_bytes())
    # This device signed two more, which the coordinator forgot.
    later = served.hands.next_terms(number=4)
    pinned.write_bytes(sign_terms(later, served.world.approval_key).to_bytes())
    assert "terms.rollback" in call("ledger", "renew-terms", *served.folder, code=3).stderr
    fork = replace_terms(known, checkpoint_max_age_s=60)
    pinned.write_bytes(sign_terms(fork, served.world.approval_key).to_bytes())
    assert "terms.fork" in call("ledger", "status", *served.folder, code=3).stderr
    pinned.write_bytes(sign_terms(fork, served.world.keys["tax"].approval).to_bytes())
    assert "terms.bad_signature" in call("ledger", "status", *served.folder, code=3).stderr


def replace_terms(signed, **changes):
    return type(signed.terms).model_validate({**signed.terms.model_dump(), **changes})


def test_terms_that_were_signed_and_not_sent_are_sent_before_others_are_signed(served, tmp_path):
    served.register(tmp_path)
    # As a crash between signing and sending leaves it.
    signed = sign_terms(served.hands.next_terms(checkpoint_max_age_s=77), served.world.approval_key)
    (served.officer / "ledger-terms.json").write_bytes(signed.to_bytes())
    found = as_json("ledger", "renew-terms", "--faulty", 0, *served.folder)
    assert found["number"] == 4
    terms = served.hands.terms
    assert (terms.checkpoint_max_age_s, terms.tolerated_faulty_witnesses) == (77, 0)
    assert SignedLedgerTerms.parse(served.world.send("tax", "GET", "/log/terms/3").content) == signed


def test_the_log_key_is_rotated_on_the_host_and_named_by_the_officer(served, tmp_path):
    served.register(tmp_path)
    served.published()
    before = served.hands.terms
    served.stop()
    rotated = as_json("ledger", "rotate-key", "--home", served.home)
    assert rotated["former"] == before.log_key
    key_file = served.home / "ledger" / "log.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    public = signing_public_key(load_log_key(served.home, load_config(served.home).ledger)).hex()
    assert public == rotated["log_key"] == (served.home / "ledger" / "log.pub").read_text().strip()
    served.start()
    # Until the officer agrees, nothing is placed, and other terms are not signed either.
    assert "ledger.wrong_log_key" in call("ledger", "renew-terms", "--faulty", 0, *served.folder, code=3).stderr
    assert served.hands.submit(served.hands.sealed("tax", 1)).status_code == 409
    said = call("ledger", "renew-terms", "--log-key", served.home / "ledger" / "log.pub", *served.folder)
    assert public in said.stderr
    after = served.hands.terms
    assert (after.number, after.log_key) == (before.number + 1, public)
    assert served.hands.submit(served.hands.sealed("tax", 1)).status_code == 200
    assert served.published()["verified_size"] > 0
    # What the old key signed stays what it was, under the former terms.
    old = served.world.send("tax", "GET", f"/log/terms/{before.number}").content
    assert SignedLedgerTerms.parse(old).terms == before


@pytest.mark.parametrize("content", [b"", b"zz", b"00" * 31, b"00" * 33, b"\xff" * 64])
def test_other_files_are_no_log_key(served, tmp_path, content):
    (tmp_path / "log.pub").write_bytes(content)
    result = call("ledger", "renew-terms", "--log-key", tmp_path / "log.pub", *served.folder, code=5)
    assert "file.unreadable" in result.stderr


# What is shown


def test_the_status_is_verified_on_the_officers_device(served, tmp_path):
    assert "no checkpoint is witnessed" in call("ledger", "status", *served.folder).stdout
    served.register(tmp_path)
    found = served.published()
    assert (found["terms"], found["quorum"], found["waiting"]) == (2, 3, 0)
    assert (found["verified_size"], found["verified_witnessed_size"]) == (found["latest"]["size"], None)
    for department in ("health", "housing", "tax"):
        served.world.now = time.time()
        assert served.hands.cosign(department).status_code == 200
    found = as_json("ledger", "status", *served.folder)
    assert found["verified_witnessed_size"] == found["witnessed"]["size"]
    shown = call("ledger", "status", *served.folder).stdout
    assert "cosigned by 3, needed 3" in shown
    for department in DEPARTMENTS:
        assert department in shown
    chinese = CliRunner().invoke(app, ["--lang", "zh", "ledger", "status", *map(str, served.folder)])
    assert "最新的已见证检查点" in chinese.stdout
    assert AuditorCard.parse((served.officer / "auditor/keys/card.json").read_bytes()).fingerprint() in shown


def test_the_headers_are_listed(served, tmp_path):
    served.register(tmp_path)
    size = served.published()["latest"]["size"]
    found = as_json("ledger", "entries", *served.folder)
    assert [row["index"] for row in found] == list(range(size))
    assert as_json("ledger", "entries", "--after", 2, *served.folder) == found[2:]
    assert as_json("ledger", "entries", "--last", 1, *served.folder) == found[-1:]
    shown = call("ledger", "entries", *served.folder).stdout
    assert "party.registered" in shown
    assert "coordinator" in shown


# Shredding and wraps


def test_an_approver_shreds_with_a_token(served, tmp_path):
    served.register(tmp_path)
    batch = served.hands.sealed("tax", 1)
    assert served.hands.submit(batch).status_code == 200
    name = batch.batch_id.hex()
    files = {}
    for role in ("centre_approver", "centre_officer"):
        files[role] = tmp_path / role
        files[role].write_text(served.world.token("centre", role) + "\n")
    shred = ["ledger", "shred", name, "--reason", "legal_order", *served.folder]
    assert "authorization.denied" in call(*shred, "--token-file", files["centre_officer"], code=3).stderr
    assert as_json(*shred, "--token-file", files["centre_approver"]) == {"batch": name}
    assert served.world.records("ledger.batch_shredded")[-1].code == "legal_order"
    (tmp_path / "none").write_text("not a token")
    assert "file.unreadable" in call(*shred, "--token-file", tmp_path / "none", code=5).stderr
    wrong = ["ledger", "shred", name, "--reason", "because", "--token-file", files["centre_approver"], *served.folder]
    assert "retention_over" in call(*wrong, code=2).stderr


def test_wraps_for_a_later_auditor_are_brought(served, tmp_path):
    served.register(tmp_path)
    batch = served.hands.sealed("tax", 1)
    served.hands.submit(batch)
    founding, court = replace(served.world.auditor, name="founding-auditor"), Auditor("court")
    (tmp_path / "card.json").write_bytes(court.card.to_bytes())
    call("ledger", "add-auditor", tmp_path / "card.json", *served.folder)
    (tmp_path / "wraps.json").write_bytes(served.hands.rewrapped(batch, founding, court).to_bytes())
    assert as_json("ledger", "add-wraps", tmp_path / "wraps.json", *served.folder) == {"batches": 1}
    assert served.world.records("ledger.wraps_added")[-1].counts == {"batches": 1}
