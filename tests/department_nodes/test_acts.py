"""Acts that must not happen twice: `department_nodes/acts.py`, and the run that is created under a key."""

from types import SimpleNamespace

import pytest

from crypto.errors import DoudiError
from department_nodes.acts import act_key
from department_nodes.scheduling import create_run, recall_run, restart_run

PATH = "/v1/projects/winter-aid/runs"
RUN = {
    "run_id": "run-1",
    "project_id": "winter-aid",
    "grant_hash": "ab" * 32,
    "run_number": 1,
    "attempt": 1,
    "mode": "evidence",
}


class Coordinator:
    """Stands for the coordinator's API: acts once per key, and loses as many answers as it is told to."""

    def __init__(self):
        self.answers = {}
        self.lost = 0

    def post(self, path, document, key=None):
        run = len(self.answers) + 1
        attempt = 2 if path.endswith("/restart") else 1
        answer = self.answers.setdefault(key, {**RUN, "run_id": f"run-{run}", "run_number": run, "attempt": attempt})
        if self.lost:
            self.lost -= 1
            raise DoudiError("coordinator.unreachable", "the coordinator does not answer")
        return answer


@pytest.fixture
def home(tmp_path):
    return SimpleNamespace(path=tmp_path)


def key_of(folder, *request):
    with act_key(folder, *request) as key:
        return key


def waiting(folder):
    return sorted(folder.rglob("*.key"))


def test_a_run_whose_answer_was_lost_is_found_and_not_created_again(home):
    coordinator = Coordinator()
    coordinator.lost = 2
    for _ in range(2):
        with pytest.raises(DoudiError):
            create_run(home, coordinator, "winter-aid", "evidence")
    run = create_run(home, coordinator, "winter-aid", "evidence")
    assert (run.run_id, len(coordinator.answers)) == ("run-1", 1)
    assert recall_run(home, "run-1") == run
    assert waiting(home.path) == []


def test_after_an_answer_the_next_call_is_another_run(home):
    coordinator = Coordinator()
    assert [create_run(home, coordinator, "winter-aid", "evidence").run_number for _ in range(2)] == [1, 2]


def test_a_restart_whose_answer_was_lost_is_not_another_attempt(home):
    coordinator = Coordinator()
    create_run(home, coordinator, "winter-aid", "evidence")
    coordinator.answers.clear()
    coordinator.lost = 1
    with pytest.raises(DoudiError):
        restart_run(home, coordinator, "run-1")
    assert restart_run(home, coordinator, "run-1").attempt == 2
    assert len(coordinator.answers) == 1


def test_a_run_that_is_not_the_one_asked_for_keeps_its_key(home):
    """The coordinator did something under it; a new key would have it do more."""
    coordinator = Coordinator()
    with pytest.raises(DoudiError) as caught:
        create_run(home, coordinator, "other-project", "evidence")
    assert (caught.value.code, len(waiting(home.path))) == ("run.not_as_asked", 1)


def test_the_key_is_on_the_disk_while_the_request_is_away(tmp_path):
    with act_key(tmp_path, PATH, {"mode": "both"}) as key:
        (file,) = waiting(tmp_path)
        assert file.read_text() == key
        assert file.stat().st_mode & 0o077 == 0
    assert waiting(tmp_path) == []


def test_another_request_and_another_occasion_have_keys_of_their_own(tmp_path):
    requests = [(PATH, {"mode": "both"}), (PATH, {"mode": "line"}), (PATH + "/x", {"mode": "both"})]
    requests.append((PATH, {"mode": "both"}, 2))
    assert len({key_of(tmp_path, *request) for request in requests}) == len(requests)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 31 + b"\n", b"\xff" * 32, b"x" * 33])
def test_a_damaged_key_is_not_sent(tmp_path, content):
    with pytest.raises(RuntimeError), act_key(tmp_path, PATH, {}):
        raise RuntimeError
    (file,) = waiting(tmp_path)
    file.write_bytes(content)
    with pytest.raises(DoudiError) as caught:
        key_of(tmp_path, PATH, {})
    assert caught.value.code == "file.unreadable"
