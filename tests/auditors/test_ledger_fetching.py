"""Visits to a log: what is copied, what is kept when one breaks off, and what the log may answer."""

import json
import time

import pytest
from ledger_world import LedgerWorld
from log_server import TOKEN, LogServer, WorldLog
from typer.testing import CliRunner

from auditors.cli import app
from auditors.fetching import fetch
from auditors.home import Home
from auditors.log_client import LogClient, read_token
from auditors.verification.verifier import verify_store
from auditors.visits import MAXIMUM_VISITS
from crypto.errors import DoudiError

URL = "https://centre.example:8443"


@pytest.fixture
def world(tmp_path):
    made = LedgerWorld(tmp_path / "log")
    made.fill(300)
    made.publish()
    return made


@pytest.fixture
def home(world, tmp_path):
    made = world.home(tmp_path / "audit")
    for path in sorted(made.store.folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    return made


@pytest.fixture
def log(world):
    return WorldLog(world)


def visit(log, home):
    return fetch(log, home.store, URL, log.world.now)


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "state.json"
    }


def test_a_first_visit_copies_the_log_as_it_is(world, log, home):
    fetched = visit(log, home)
    assert files(home.store.folder) == files(world.folder)
    assert (fetched.visit.size, fetched.visit.batches, fetched.visit.witnessed, fetched.before) == (300, 6, 300, 0)
    assert verify_store(home).exit_code == 0


def test_a_second_visit_without_news_copies_nothing(log, home):
    visit(log, home)
    log.asked.clear()
    log.world.now += 60
    assert visit(log, home).files == 0
    assert log.asked == ["checkpoint", "checkpoint/witnessed", "terms/newest", "summary"]
    assert [one.at for one in home.store.state().visits] == [log.world.now]


def test_a_later_visit_copies_only_what_is_new_and_drops_the_narrower_right_edge(world, log, home):
    visit(log, home)
    world.fill(500)
    world.renew_terms()
    world.publish()
    log.asked.clear()
    visit(log, home)
    assert "tile/entries/000" not in log.asked
    assert "terms/1" not in log.asked
    assert "tile/entries/001" in log.asked
    assert files(home.store.folder) == files(world.folder)
    assert verify_store(home).exit_code == 0


@pytest.mark.parametrize("more", [1, 2, 212, 213, 500, 1_000])
def test_the_mirror_is_the_log_at_every_size(world, log, home, more):
    visit(log, home)
    world.fill(more, 3)
    world.publish()
    visit(log, home)
    assert files(home.store.folder) == files(world.folder)
    result = verify_store(home)
    assert (result.exit_code, result.newest.size) == (0, 300 + more)


def test_a_visit_that_broke_off_left_the_former_mirror_and_is_gone_on_with(world, log, home):
    visit(log, home)
    world.fill(1_000)
    world.publish()
    log.lacking = {"tile/entries/004"}
    with pytest.raises(DoudiError, match=r"log\.incomplete"):
        visit(log, home)
    assert home.store.size == 300
    assert verify_store(home).exit_code == 0
    log.lacking = set()
    log.asked.clear()
    visit(log, home)
    assert "tile/entries/002" not in log.asked
    assert "tile/entries/004" in log.asked
    result = verify_store(home)
    assert (result.exit_code, result.newest.size) == (0, 1_300)


def test_the_log_may_grow_between_two_questions(world, log, home):
    old = world.notes[300].to_bytes()
    world.fill(10)
    world.publish()
    log.instead = {"checkpoint": old}
    assert visit(log, home).visit.size == 310
    assert verify_store(home).exit_code == 0


def test_a_log_that_nobody_witnessed_yet_is_copied_all_the_same(world, tmp_path):
    made = LedgerWorld(tmp_path / "young")
    made.fill(5)
    made.publish(cosigners=[])
    home = made.home(tmp_path / "other")
    assert visit(WorldLog(made), home).visit.witnessed == 0
    assert verify_store(home).exit_code == 12


def test_a_smaller_tree_leaves_the_mirror_and_is_noted_once(world, log, home):
    visit(log, home)
    world.fill(100)
    world.publish()
    visit(log, home)
    log.instead = {"checkpoint": world.notes[300].to_bytes(), "checkpoint/witnessed": world.notes[300].to_bytes()}
    for _ in range(2):
        assert visit(log, home).smaller
    state = home.store.state()
    assert [(one.before, one.after) for one in state.regressions] == [(400, 300)]
    assert home.store.size == 400
    assert home.store.unverified_checkpoint("witnessed").size == 400
    assert verify_store(home).exit_code == 13
    log.instead = {}
    visit(log, home)
    assert verify_store(home).exit_code == 13


def test_another_checkpoint_of_a_known_size_is_kept_beside_it(world, log, home, tmp_path):
    visit(log, home)
    other = LedgerWorld(tmp_path / "other")
    for name in ("log_private", "centre_private", "departments", "auditors", "terms"):
        setattr(other, name, getattr(world, name))
    other.fill(300)
    log.instead = {"checkpoint": other.publish().to_bytes()}
    visit(log, home)
    kept = sorted(path.name for path in (home.store.folder / "checkpoints").iterdir())
    assert kept == ["300", f"300.fork-{other.root().hex()[:16]}"]
    result = verify_store(home)
    assert {"history.fork", "tree.wrong_root"} <= {one.code for one in result.findings}


def test_more_cosignatures_for_a_known_checkpoint_are_kept_and_fewer_are_not(world, log, home):
    whole = world.notes[300]
    few = world.cosigned(type(whole)(whole.text, whole.signatures[:1]), ["tax"])
    for answer, lines in ((few, 2), (whole, 4), (few, 4)):
        log.instead = {"checkpoint": answer.to_bytes(), "checkpoint/witnessed": answer.to_bytes()}
        visit(log, home)
        assert len(home.store.note("checkpoints/300").signatures) == lines


def test_visits_are_remembered_up_to_a_limit(world, log, home):
    for _ in range(3):
        world.fill(1)
        world.publish()
        visit(log, home)
    assert [one.size for one in home.store.state().visits] == [301, 302, 303]
    state = home.store.state()
    many = state.model_copy(update={"visits": state.visits[-1:] * MAXIMUM_VISITS})
    home.store.write("state.json", many.to_bytes())
    world.fill(1)
    world.publish()
    visit(log, home)
    assert len(home.store.state().visits) == MAXIMUM_VISITS
    assert home.store.state().visits[-1].size == 304


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("checkpoint", b"nothing"),
        ("checkpoint", b"a\nb\n\n\xe2\x80\x94 a AAAAAAAA\n"),
        ("checkpoint/witnessed", b"nothing"),
        ("terms/newest", b"{}"),
        ("summary", b"[]"),
        ("summary", b'{"batches":true}'),
        ("summary", b'{"batches":-1}'),
        ("summary", b"{" * 4_000),
    ],
)
def test_an_answer_that_is_none_is_refused_and_changes_nothing(log, home, path, answer):
    log.instead = {path: answer}
    with pytest.raises(DoudiError, match=r"log\.bad_answer"):
        visit(log, home)
    assert not home.store.has("checkpoint")


def test_a_log_without_a_checkpoint_says_so(log, home):
    log.lacking = {"checkpoint"}
    with pytest.raises(DoudiError, match=r"log\.nothing_published"):
        visit(log, home)


def test_malformed_files_are_copied_and_then_found(log, home):
    log.instead = {"tile/entries/000": b"garbage", "tile/0/000": b"short", "batches/0.p/6": b"\x01"}
    visit(log, home)
    assert verify_store(home).exit_code == 10


# Over TLS.


@pytest.fixture
def server(log, tmp_path):
    # Commands have the host's clock, so the witnesses must have it too.
    log.world.now = int(time.time())
    log.world.publish()
    made = LogServer(log, tmp_path / "tls")
    yield made
    made.close()


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def fetch_words(server, home, **changed):
    options = {"url": server.url, "ca": server.ca_file, "token_file": server.token_file, **changed}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return ["fetch", *words, "--home", home.path]


def test_fetch_and_verify_by_command(world, server, home):
    result = run(*fetch_words(server, home), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["entries"] == 300
    assert run("verify", "--home", home.path).exit_code == 0
    world.fill(20)
    world.publish()
    assert "320 entries (20 new)" in run(*fetch_words(server, home)).stdout
    assert run("--lang", "zh", "verify", "--home", home.path).stdout.startswith("日志核验通过")


def test_a_smaller_log_is_said_on_fetching(world, server, home):
    run(*fetch_words(server, home))
    world.fill(20)
    world.publish()
    run(*fetch_words(server, home))
    old = world.notes[300].to_bytes()
    server.log.instead = {"checkpoint": old, "checkpoint/witnessed": old}
    result = run(*fetch_words(server, home))
    assert result.exit_code == 0
    assert "was set back" in result.stderr
    assert run("verify", "--home", home.path).exit_code == 13


def test_a_server_of_another_authority_is_not_reached(server, home, tmp_path, log):
    other = LogServer(log, tmp_path / "other")
    result = run(*fetch_words(server, home, ca=other.ca_file))
    other.close()
    assert result.exit_code == 4
    assert "coordinator.unreachable" in result.output
    assert log.asked == []


def test_a_wrong_token_is_refused_with_the_coordinators_code(server, home):
    server.token_file.write_text("doudi_other")
    result = run(*fetch_words(server, home))
    assert result.exit_code == 3
    assert "token.unknown" in result.output


def test_nobody_there_is_not_reachable(server, home):
    server.close()
    assert run(*fetch_words(server, home)).exit_code == 4


def test_a_token_never_travels_in_clear(server, home):
    result = run(*fetch_words(server, home, url=server.url.replace("https", "http")))
    assert result.exit_code == 3
    assert "audit.not_https" in result.output


def test_an_answer_that_is_too_long_is_refused(server, home):
    server.log.instead = {"summary": b" " * 5_000}
    result = run(*fetch_words(server, home))
    assert result.exit_code == 3
    assert "log.bad_answer" in result.output


def test_a_token_file_that_others_may_read_is_refused(server, home):
    server.token_file.chmod(0o644)
    result = run(*fetch_words(server, home))
    assert result.exit_code == 5
    assert "key.permissions" in result.output


def test_a_token_file_without_a_token_is_refused(server):
    for content in ("", "two words", "é"):
        server.token_file.write_text(content)
        with pytest.raises(DoudiError, match=r"key\.malformed"):
            read_token(server.token_file)
    server.token_file.unlink()
    with pytest.raises(DoudiError, match=r"key\.missing"):
        read_token(server.token_file)


def test_a_file_that_is_no_certificate_is_refused(server, tmp_path):
    with pytest.raises(DoudiError, match=r"file\.no_certificate"):
        LogClient(server.url, server.token_file, TOKEN)
    with pytest.raises(DoudiError, match=r"file\.no_certificate"):
        LogClient(server.url, tmp_path / "nothing", TOKEN)


def test_a_home_that_does_not_exist_yet_is_made(server, tmp_path):
    home = Home(tmp_path / "fresh")
    assert run(*fetch_words(server, home)).exit_code == 0
    assert home.store.size == 300
