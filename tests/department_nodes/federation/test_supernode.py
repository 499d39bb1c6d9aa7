"""The replaced attributes of Flower, and the key of a SuperNode."""

import subprocess
import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from crypto.errors import DoudiError
from department_nodes.federation import flower_engine
from department_nodes.federation.node_keys import generate_flower_key

# In its own process: the replacements are for ever.
CHECK = """
from types import SimpleNamespace
import httpx
from department_nodes.federation import supernode
from department_nodes.federation.supernode import fleet_http_connection, heartbeat, start_client_internal
supernode.replace_attributes(0.0)
start_client_internal.time.sleep(0.5)
assert fleet_http_connection.HEARTBEAT_DEFAULT_INTERVAL == 10

def broken():
    raise httpx.HTTPStatusError("busy", request=None, response=None)

sender = fleet_http_connection.HeartbeatSender(broken)
try:
    sender._heartbeat()
    raise SystemExit("the sender does not repeat")
except heartbeat.HeartbeatFailure:
    pass

from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supernode.nodestate import NodeStateFactory
state = NodeStateFactory(ObjectStoreFactory()).state()
answered = []
state._store_error_replies = lambda runs, error: answered.append((runs, error.code))
message = SimpleNamespace(metadata=SimpleNamespace(run_id=7, reply_to_message_id="", message_id="m"))
state.msg_store["m"] = SimpleNamespace(message=message, is_retrieved=False)
state._on_task_tokens_expired([SimpleNamespace(run_id=7, type="flwr-clientapp")])
assert state.msg_store["m"].is_retrieved and answered == [({7}, 8)], answered
import sys
assert "torch" not in sys.modules
"""


def test_the_replacements_do_what_they_promise() -> None:
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("found", ["1.40.0", "1.41.1"])
def test_another_flower_is_refused(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(flower_engine, "version", lambda _name: found)
    with pytest.raises(DoudiError) as caught:
        flower_engine.require_flower()
    assert caught.value.code == "flower.unexpected_version"


def test_an_absent_attribute_is_refused() -> None:
    owner: Any = object()
    with pytest.raises(DoudiError, match="absent: sleep"):
        flower_engine.require_flower(((owner, "sleep"),))


def test_the_key_is_a_nist_key_in_openssh_form() -> None:
    private, public = generate_flower_key()
    key = load_ssh_private_key(private, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp384r1"
    assert load_ssh_public_key(public.encode()) == key.public_key()
    assert generate_flower_key()[1] != public
