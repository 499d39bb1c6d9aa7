"""Driving the SuperLink: start and stop runs, register nodes, see who is online. Safe to call from any thread.

Uses the Control client of flwr 1.41.0 because its command line keeps its connections in files under the user's home.
The Control interface has no authentication in 1.41, which is why it is on loopback only (`superlink`).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from flwr.common.serde import fab_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
)
from flwr.supercore.constant import NodeStatus
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.fab import Fab

from coordinator.federation.exchange import LinkAway
from coordinator.federation.flower_engine import bounded_client, call, require_flower
from coordinator.federation.shell_bundle import build_bundle
from crypto.errors import DoudiError


@dataclass(frozen=True)
class NodeState:
    """A registered node. `online`: its heartbeat is younger than twice its interval."""

    node_id: int
    online: bool


class FlowerControl:
    """The Control interface of a SuperLink on loopback.

    Every method raises `flower.unreachable` when the SuperLink does not answer (repeat later) and `flower.refused`.
    """

    def __init__(self, address: str, ca_file: Path) -> None:
        require_flower()
        self._client: Any = bounded_client(ControlHttpClient, address, ca_file, [])

    def start_run(self, bundle_dir: Path) -> int:
        """Return the number of a new Flower run that waits for its relay."""
        packed = build_bundle(bundle_dir)
        fab = Fab(hashlib.sha256(packed).hexdigest(), packed, {})
        run_id = int(_ask(self._client.StartRun, StartRunRequest(fab=fab_to_proto(fab))).run_id)
        if run_id == 0:
            raise DoudiError("flower.refused", "the SuperLink did not start a run")
        return run_id

    def stop_run(self, run_id: int) -> None:
        """Stop a run; one that has ended already stays as it is. Nodes that are at work are not interrupted."""
        try:
            _ask(self._client.StopRun, StopRunRequest(run_id=run_id))
        except DoudiError:
            if self.run_status(run_id) in ("pending", "starting", "running"):
                raise

    def run_status(self, run_id: int) -> str:
        """Return `pending`, `starting`, `running`, `completed`, `failed`, `stopped` or `unknown`."""
        try:
            runs = _ask(self._client.ListRuns, ListRunsRequest(run_id=run_id)).run_dict
        except DoudiError as error:
            if error.code == "flower.unreachable":
                raise
            return "unknown"
        if run_id not in runs:
            return "unknown"
        status = runs[run_id].status
        return str(status.sub_status or status.status)

    def register_node(self, ssh_public_key: bytes | str, name: str) -> int:
        """Return the id of the node with this key, registered under the department's name.

        Registering it again changes nothing. Raises `flower.name_in_use` when another key holds the name: replies are
        matched to departments by it. Raises `flower.bad_key` unless the key is ECDSA on a NIST curve.
        """
        key = _pem(ssh_public_key)
        for node in self._registered():
            if node.public_key == key and node.name == name:
                return int(node.node_id)
            if node.public_key == key or node.name == name:
                raise DoudiError(
                    "flower.name_in_use",
                    f"the name {name} or this node key is registered already, with another key or name",
                    "Remove the old registration with `flwr supernode unregister` on the coordinator's host.",
                )
        node_id = int(_ask(self._client.RegisterNode, RegisterNodeRequest(public_key=key, name=name)).node_id)
        if node_id == 0:
            raise DoudiError("flower.refused", "the SuperLink did not register the node")
        return node_id

    def nodes(self) -> dict[str, NodeState]:
        """Return the registered nodes by department."""
        return {node.name: NodeState(node.node_id, node.status == NodeStatus.ONLINE) for node in self._registered()}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _registered(self) -> list[Any]:
        found = _ask(self._client.ListNodes, ListNodesRequest()).nodes_info
        return [node for node in found if node.status != NodeStatus.UNREGISTERED]


def _ask(method: Callable[[Any], Any], request: Any) -> Any:
    try:
        return call(method, request, "flower.refused")
    except LinkAway:
        raise DoudiError(
            "flower.unreachable", "the SuperLink does not answer", "See that it runs, and try again."
        ) from None


def _pem(ssh_public_key: bytes | str) -> bytes:
    data = ssh_public_key.encode() if isinstance(ssh_public_key, str) else ssh_public_key
    try:
        key = load_ssh_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise DoudiError("flower.bad_key", "the node key is not an OpenSSH public key") from None
    if not isinstance(key, EllipticCurvePublicKey):
        raise DoudiError(
            "flower.bad_key", "the node key is not ECDSA on a NIST curve", "Create it with `doudi node init`."
        )
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
