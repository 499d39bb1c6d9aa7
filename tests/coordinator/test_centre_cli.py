"""`doudi centre`: installation, TLS, and the officer's commands against a served API: `coordinator/cli`."""

import json
import socket
import ssl
import stat
import threading
import time

import httpx
import pytest
import uvicorn
from coordinator_world import COLUMNS, DEPARTMENTS, LEAD, PROJECT, Keys, World
from cryptography import x509
from opened_records import Auditor
from typer.testing import CliRunner

from command_line.console import ExitCode, exit_code
from coordinator.app import create_app
from coordinator.cli import app
from coordinator.cli.host_commands import superlink_arguments
from coordinator.config import load_config
from coordinator.db.session import open_engine, require_known_schema
from coordinator.runs.services import mark_step
from coordinator.texts import TEXTS
from policies.contracts.cards import CentreCard
from policies.contracts.grant import SignedGrant

PRIVATE_FILES = ("approval.key", "api.key", "ca.key")


def call(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


@pytest.fixture
def homes(tmp_path):
    home, officer = tmp_path / "coordinator", tmp_path / "officer"
    port, fleet, superlink = free_ports(3)
    ports = ["--port", port, "--fleet-port", fleet, "--superlink-port", superlink]
    call("init", "--home", home, "--officer-home", officer, *ports)
    return home, officer


@pytest.fixture
def served(homes):
    """The API over TLS in a thread, as `run` serves it, with a SuperLink that accepts every node."""
    home, officer = homes
    config = load_config(home)
    api = create_app(config, register_flower_node=lambda name, key: None)
    server = uvicorn.Server(
        uvicorn.Config(
            api,
            host=config.api_host,
            port=config.api_port,
            ssl_certfile=str(config.path(config.tls_certificate_file)),
            ssl_keyfile=str(config.path(config.tls_key_file)),
            log_level="error",
            access_log=False,
            ws="none",
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    # A world of the same database: its documents name this centre, and its departments ask for grants.
    keys = {name: Keys() for name in DEPARTMENTS}
    approval, api_key = (bytes.fromhex((officer / name).read_text()) for name in ("approval.key", "api.key"))
    yield home, officer, World(config, api_key, approval, keys, auditor=Auditor.in_folder(officer / "auditor"))
    server.should_exit = True
    thread.join()


def write_cards(world, folder, departments=DEPARTMENTS):
    for department in departments:
        (folder / f"{department}.json").write_bytes(world.card(department).to_bytes())
    return [folder / f"{department}.json" for department in departments]


def test_init_separates_the_officers_keys_from_the_coordinators_home(homes):
    home, officer = homes
    config = load_config(home)
    card = CentreCard.parse((officer / "centre-card.json").read_bytes())
    assert (card.approval_key, card.api_key) == (config.centre_approval_key, config.centre_api_key)
    assert card.url == config.public_url == f"https://127.0.0.1:{config.api_port}"
    assert card.superlink == f"127.0.0.1:{config.fleet_port}"
    secrets = [(officer / name).read_bytes().strip() for name in PRIVATE_FILES]
    for path in home.rglob("*"):
        assert path.is_dir() or not any(secret in path.read_bytes() for secret in secrets)
    private = [officer / name for name in PRIVATE_FILES]
    private += [config.path(config.tls_key_file), config.path(config.superexec_secret_file)]
    for path in private:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    engine = open_engine(config.resolved_database_url)
    require_known_schema(engine)
    engine.dispose()


def test_the_certificate_names_the_hosts_and_loopback(tmp_path):
    hosts = ["--host", "centre.example", "--host", "10.1.2.3"]
    call("init", "--home", tmp_path / "h", "--officer-home", tmp_path / "o", *hosts)
    certificate = x509.load_pem_x509_certificate((tmp_path / "h/tls/server.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["centre.example", "localhost"]
    assert [str(found) for found in names.get_values_for_type(x509.IPAddress)] == ["10.1.2.3", "127.0.0.1"]
    authority = x509.load_pem_x509_certificate((tmp_path / "o/ca.crt").read_bytes())
    certificate.verify_directly_issued_by(authority)
    assert load_config(tmp_path / "h").public_url == "https://centre.example:8443"


def test_init_refuses_folders_in_use_or_inside_each_other(homes, tmp_path):
    home, officer = homes
    assert "install.exists" in call("init", "--home", home, "--officer-home", tmp_path / "new", code=5).stderr
    assert "install.exists" in call("init", "--home", tmp_path / "new", "--officer-home", officer, code=5).stderr
    nested = call("init", "--home", tmp_path / "a", "--officer-home", tmp_path / "a/b", code=5)
    assert "install.same_folder" in nested.stderr
    bad = call("init", "--home", tmp_path / "c", "--officer-home", tmp_path / "d", "--host", "https://x", code=5)
    assert "config.bad_host" in bad.stderr
    assert not (tmp_path / "d").exists()


def test_an_officer_registers_opens_and_signs(served, tmp_path):
    _, officer, world = served
    folder = ["--officer-home", officer]
    result = call("register", *write_cards(world, tmp_path), *folder)
    assert world.card("tax").fingerprint() in result.stdout
    project = [
        "create-project",
        PROJECT,
        "--title",
        "Winter aid",
        "--purpose",
        "social_assistance",
        "--region",
        "kentucky",
    ]
    assert json.loads(call(*project, "--lead", LEAD, *folder, "--json").stdout)["state"] == "open"
    world.register_assets()
    grant = world.grant()
    number = world.request(grant)
    (tmp_path / "grant.json").write_bytes(grant.to_bytes() + b"\n")
    result = call("sign", tmp_path / "grant.json", *folder, "--out", tmp_path / "signed.json", "--submit")
    assert "ε = 1" in result.stderr
    assert COLUMNS["tax"][0] in result.stderr
    signed = SignedGrant.parse((tmp_path / "signed.json").read_bytes())
    assert [signature.party for signature in signed.signatures] == ["centre"]
    chinese = CliRunner().invoke(app, ["--lang", "zh", "sign", str(tmp_path / "signed.json"), *map(str, folder)])
    assert "牵头" in chinese.stderr
    assert SignedGrant.parse(chinese.stdout.strip().encode()) == signed
    stored = SignedGrant.parse(world.send("centre", "GET", f"/v1/requests/{number}/grant").content)
    assert [signature.party for signature in stored.signatures] == ["centre"]
    assert json.loads(call("runs", *folder, "--json").stdout) == []
    kinds = [event["type"] for event in world.events()]
    assert kinds[:5] == [*["party.registered"] * 4, "project.created"]
    assert "grant.signatures_added" in kinds
    status = json.loads(call("status", *folder, "--json").stdout)
    assert (status["parties"], status["projects"], status["active"]) == (4, 1, 0)
    assert "tax" in call("status", *folder).stdout


def test_an_officer_reads_everything_that_a_line_allows(served, tmp_path):
    _, officer, world = served
    call("register", *write_cards(world, tmp_path), "--officer-home", officer)
    # A bare grant and a signed one are both read.
    (tmp_path / "line.json").write_bytes(world.line_grant().to_bytes())
    distributed = {
        **world.line_grant().training.model_dump(),
        "placement": "distributed",
        "local_steps": 1,
        "sample_rate_ppm": 10**6,
        "honest_percent": 75,
    }
    other = world.line_grant(training=distributed)
    (tmp_path / "other.json").write_bytes(world.signed(other, LEAD).to_bytes())
    shown = call("sign", tmp_path / "line.json", "--officer-home", officer).stderr
    for fact in (
        "LINE",
        "σ = 1.25 × clip norm 1.5",
        "q = 0.02",
        "5 steps × 40 rounds",
        "δ = 10^-6",
        "one person",
        "local: ",
        "at least 3 of 4 departments",
        "within ±4",
        "norm 2",
        "secure",
        "region region-1",
        COLUMNS["tax"][0],
    ):
        assert fact in shown
    assert "at least 75 % of the survivors" in call("sign", tmp_path / "other.json", "--officer-home", officer).stderr
    plain = world.line_grant(
        aggregation={**world.line_grant().aggregation.model_dump(), "method": "median"},
    )
    (tmp_path / "plain.json").write_bytes(plain.to_bytes())
    assert "median: WITHOUT masks" in call("sign", tmp_path / "plain.json", "--officer-home", officer).stderr
    chinese = CliRunner().invoke(
        app, ["--lang", "zh", "sign", str(tmp_path / "line.json"), "--officer-home", str(officer)]
    )
    assert "条线" in chinese.stderr


def test_runs_shows_how_far_a_line_is(served, tmp_path):
    _, officer, world = served
    folder = ["--officer-home", officer]
    call("register", *write_cards(world, tmp_path), *folder)
    project = ["create-project", PROJECT, "--title", "Line", "--purpose", "social_assistance", "--region", "kentucky"]
    call(*project, "--lead", LEAD, *folder)
    world.register_line_assets()
    grant = world.line_grant()
    world.sign_all(world.request(grant), grant)
    run_id = world.start_run("line")["run_id"]
    with world.begin() as session:
        mark_step(session, run_id, 1, "line_keys", "tax", "sent", round_number=7)
    (row,) = json.loads(call("runs", *folder, "--json").stdout)
    assert (row["mode"], row["round"], row["rounds"]) == ("line", 7, 40)
    # A pipe is 80 columns wide, so words may be cut over lines.
    assert "40" in call("runs", *folder).stdout


def test_a_refusal_ends_with_3_and_one_line_without_a_traceback(served, tmp_path):
    _, officer, world = served
    (card,) = write_cards(world, tmp_path, ["tax"])
    call("register", card, "--officer-home", officer)
    world.keys["tax"] = Keys()
    write_cards(world, tmp_path, ["tax"])
    result = call("register", card, "--officer-home", officer, code=3)
    assert result.stdout == ""
    assert result.stderr.startswith("refused: party.keys_changed: ")
    assert " — " in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_officer_signs_only_keys_that_were_registered_from_this_folder(served, tmp_path):
    """What the coordinator says about keys plays no part: the officer compares with the own copies."""
    _, officer, world = served
    (tmp_path / "grant.json").write_bytes(world.grant().to_bytes())
    arguments = ("sign", tmp_path / "grant.json", "--officer-home", officer)
    assert "party.unknown" in call(*arguments, code=3).stderr
    call("register", *write_cards(world, tmp_path), "--officer-home", officer)
    call(*arguments)
    world.keys["health"].approval = Keys().approval
    (tmp_path / "grant.json").write_bytes(world.grant().to_bytes())
    assert "grant.key_mismatch" in call(*arguments, code=3).stderr


def test_failure_classes_have_their_exit_codes(homes, tmp_path):
    _, officer = homes
    assert "coordinator.unreachable" in call("status", "--officer-home", officer, code=4).stderr
    (tmp_path / "bad.json").write_text("{}")
    assert "document.malformed" in call("register", tmp_path / "bad.json", "--officer-home", officer, code=5).stderr
    assert "document.unreadable" in call("sign", tmp_path / "none.json", "--officer-home", officer, code=5).stderr
    assert "file.unreadable" in call("status", "--officer-home", tmp_path / "nowhere", code=5).stderr
    assert "config.missing" in call("run", "--home", tmp_path / "nowhere", code=5).stderr
    call("register", code=2)
    assert exit_code("coordinator.internal_error") is ExitCode.INTERNAL
    assert exit_code("grant.expired") is ExitCode.REFUSED


def test_a_server_with_another_authority_is_not_believed(served, tmp_path):
    _, officer, _ = served
    call("init", "--home", tmp_path / "h2", "--officer-home", tmp_path / "o2")
    (officer / "ca.crt").write_bytes((tmp_path / "o2/ca.crt").read_bytes())
    assert "coordinator.unreachable" in call("status", "--officer-home", officer, code=4).stderr


def test_the_served_certificate_verifies_under_strict_rules(served):
    _, officer, _ = served
    card = CentreCard.parse((officer / "centre-card.json").read_bytes())
    context = ssl.create_default_context(cafile=str(officer / "ca.crt"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    assert httpx.get(card.url + "/v1/health", verify=context, trust_env=False).json()["status"] == "ok"


def test_the_superlink_gets_the_configured_arguments(homes):
    home, _ = homes
    arguments = superlink_arguments(load_config(home))
    pairs = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    assert arguments[:2] == ["-m", "coordinator.federation.superlink"]
    assert pairs["--fleet-host"] == "127.0.0.1"
    assert pairs["--superexec-secret-file"] == str(home / "superexec.secret")


def test_every_text_has_the_same_values_in_both_languages():
    import string

    for english, chinese in TEXTS.values():
        fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english, chinese)]
        assert fields[0] == fields[1]
