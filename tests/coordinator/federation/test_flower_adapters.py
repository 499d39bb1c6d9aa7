"""The adapters to Flower that need no running SuperLink."""

import io
import logging
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.app import ArrayRecord, Message, RecordDict
from flwr.app.error import Error
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.task_identity import TaskIdentity

from coordinator.federation import flower_engine
from coordinator.federation.exchange import LinkAway, Trouble
from coordinator.federation.flower_control import _pem
from coordinator.federation.flower_engine import call, require_flower
from coordinator.federation.flower_link import read_reply
from coordinator.federation.shell_bundle import build_bundle, shell_bundle
from coordinator.federation.superlink import SuperLinkSettings, _CodesOnly, run_superlink
from crypto.errors import DoudiError


def test_the_bundle_is_empty_stable_and_not_importable() -> None:
    packed = zipfile.ZipFile(io.BytesIO(build_bundle(shell_bundle())))
    assert sorted(packed.namelist()) == [".info/CONTENT", "doudi_shell.py", "pyproject.toml"]
    assert build_bundle(shell_bundle()) == build_bundle(shell_bundle())
    with pytest.raises(ImportError, match="installed programs only"):
        exec(packed.read("doudi_shell.py"))  # noqa: S102


def test_the_coordinator_imports_no_torch_and_the_relay_no_flower() -> None:
    check = "import sys, {}; raise SystemExit(any(name.split('.')[0] in {} for name in sys.modules))"
    for modules, absent in [
        ("coordinator.federation.relay, coordinator.federation.exchange", {"flwr", "torch"}),
        (
            "coordinator.federation.superlink, coordinator.federation.flower_relay, coordinator.federation.flower_control",
            {"torch", "sklearn", "pyarrow", "ray"},
        ),
    ]:
        subprocess.run([sys.executable, "-c", check.format(modules, absent)], check=True, timeout=60)


def test_another_flower_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    require_flower()
    monkeypatch.setattr(flower_engine, "version", lambda _name: "1.42.0")
    with pytest.raises(DoudiError) as caught:
        require_flower()
    assert caught.value.code == "flower.unexpected_version"


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "denied"), (403, "denied"), (404, "flower.refused"), (412, "flower.refused"), (500, "relay.superlink_away")],
)
def test_http_statuses_become_codes_without_text(status: int, code: str) -> None:
    def method(_request: object) -> object:
        response = httpx.Response(status, text="secret text", request=httpx.Request("POST", "https://x"))
        return response.raise_for_status()

    with pytest.raises(DoudiError) as caught:
        call(method, None, "denied")
    assert caught.value.code == code
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_broken_connection_may_be_repeated() -> None:
    def method(_request: object) -> object:
        raise httpx.ReadTimeout("x")

    with pytest.raises(LinkAway):
        call(method, None, "denied")


def test_unreadable_replies_are_failures_and_passing_errors_are_repeated() -> None:
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    asked = Message(RecordDict(), 5, "query.step")
    asked.metadata.__dict__["_message_id"] = "a" * 64

    def outcome(reply: Message) -> bytes | Trouble:
        contents = {key: value.deflate() for key, value in get_all_nested_objects(reply).items()}
        return read_reply(reply.object_id, contents)

    assert outcome(Message(RecordDict(), reply_to=asked)) is Trouble.FAILED
    assert outcome(Message(RecordDict({"frame": ArrayRecord()}), reply_to=asked)) is Trouble.FAILED
    for code, expected in [(2, Trouble.FAILED), (5, Trouble.LOST_ON_THE_WAY), (8, Trouble.LOST_ON_THE_WAY)]:
        assert outcome(Message(Error(code, "x"), reply_to=asked)) is expected
    for contents in [{}, {"b" * 64: b""}, {"b" * 64: b"Message  9999\x00junk"}, {"b" * 64: b"\xff\x00"}]:
        assert read_reply("b" * 64, contents) is Trouble.FAILED


def test_a_key_that_is_not_ecdsa_is_refused() -> None:
    public = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    for key in [public, public.decode(), b"", "ssh-rsa nonsense"]:
        with pytest.raises(DoudiError) as caught:
            _pem(key)
        assert caught.value.code == "flower.bad_key"


def test_the_log_keeps_the_code_of_a_refusal_and_not_its_text() -> None:
    text = "[/v1/fleet/activate-node][ApiError:2004] Attempted with public key: b'MHYw'"
    record = logging.LogRecord("flwr", logging.ERROR, "", 0, text, None, None)
    assert _CodesOnly().filter(record)
    assert record.getMessage() == "[/v1/fleet/activate-node][ApiError:2004]"
    other = logging.LogRecord("flwr", logging.INFO, "", 0, "Started task %d", (5,), None)
    assert _CodesOnly().filter(other)
    assert other.getMessage() == "Started task 5"


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    for name in ["cert", "key", "ca", "secret"]:
        tmp_path.joinpath(name).write_bytes(b"short")
    files = {f"tls_{name}": tmp_path / name for name in ["cert", "key", "ca"]}
    settings = SuperLinkSettings(
        1, "127.0.0.1", 2, **files, database=tmp_path / "db", superexec_secret_file=tmp_path / "secret"
    )
    with pytest.raises(DoudiError, match="shorter than 32 bytes"):
        run_superlink(settings)
