"""One Flower run seen from its ServerApp's side, without a ServerApp: the task, its heartbeat, messages out and in.

Uses internals of flwr 1.41.0, because its HttpGrid retries without bound, sends SIGINT to its own process on HTTP 401
and waits inside `pull_messages` for uploads of single nodes. Here every call is one request with a timeout, and the
pieces of a message are sent and fetched one at a time, so that a SuperLink that restarts in the middle costs one
repeated piece.
`TaskIdentity` is global to the process: one link per process.
"""

import logging
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode, SubStatus
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, PullObjectRequest, PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    GetNodesRequest,
    PullAppMessagesRequest,
    PullTaskInputRequest,
    PushAppMessagesRequest,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.constant import TaskType
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.interceptors import RuntimeTokenHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity

from coordinator.federation.exchange import LinkAway, MessageRefused, OnlineNode, Trouble
from coordinator.federation.flower_engine import bounded_client, call, require_flower
from crypto.errors import DoudiError

# The form of a payload in a Flower message; department_nodes.federation.worker has the same, and the test with real
# processes holds them together. The bytes are stored raw, so that nothing parses them on the way.
MESSAGE_TYPE = "query.step"
RECORD, ARRAY, STORED_AS = "frame", "bytes", "doudi.frame"

TASK_HEARTBEAT_S = 10.0
# How much one call of `push` or `poll` moves: a small message at once, a large one in turns with the others'.
PORTION_BYTES = 4 * 1024 * 1024
RUN_ENDED = "relay.run_ended"
# A reply that is missing for these reasons may come when the same request is sent again.
_PASSING = {
    ErrorCode.UNKNOWN,
    ErrorCode.MESSAGE_UNAVAILABLE,
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
    ErrorCode.NODE_UNAVAILABLE,
    ErrorCode.CLIENT_APP_CRASHED,
}
_log = logging.getLogger(__name__)


@dataclass
class _Outgoing:
    header: Any
    tree: Any
    contents: dict[str, bytes]
    session_id: str | None = None
    missing: list[str] = field(default_factory=list)


@dataclass
class _Incoming:
    object_id: str
    wanted: list[str]
    contents: dict[str, bytes] = field(default_factory=dict)


class FlowerLink:
    """A run's task at the SuperLink. Implements `exchange.Link`. Not for several threads."""

    def __init__(self, client: Any, flower_run_id: int) -> None:
        self._client, self.flower_run_id = client, flower_run_id
        self._node = Node(node_id=SUPERLINK_NODE_ID)
        self._outgoing: dict[str, _Outgoing] = {}
        self._incoming: dict[str, _Incoming] = {}
        self._stop, self._ended = threading.Event(), threading.Event()
        self._heart = threading.Thread(target=self._beat, name="flower-task-heartbeat", daemon=True)
        self._heart.start()

    @classmethod
    def acquire(cls, address: str, ca_file: Path, secret_file: Path, timeout_s: float) -> "FlowerLink":
        """Return the link of the oldest run that waits for its ServerApp.

        Raises `relay.no_task`, `relay.secret_refused` or `relay.superlink_lost`.
        """
        require_flower()
        token = _acquire_token(address, ca_file, secret_file, timeout_s)
        client = bounded_client(RuntimeHttpClient, address, ca_file, [RuntimeTokenHttpInterceptor(token)])
        # The bundle comes with the input; it is dropped unread, because nothing but this program runs here.
        task_input = call(client.PullTaskInput, PullTaskInputRequest(), RUN_ENDED)
        TaskIdentity.task_id = task_input.task_id
        TaskIdentity.run_id = task_input.run.run_id
        TaskIdentity.node_id = task_input.context.node_id
        return cls(client, task_input.run.run_id)

    def nodes(self) -> dict[str, OnlineNode]:
        """Return the online nodes by registered name; a name that two nodes carry counts as absent."""
        found: dict[str, OnlineNode] = {}
        doubled: set[str] = set()
        for node in self._call(self._client.GetNodes, GetNodesRequest()).nodes:
            if node.name in found:
                doubled.add(node.name)
            found[node.name] = OnlineNode(node.node_id, node.last_activated_at)
        return {name: node for name, node in found.items() if name and name not in doubled}

    def compose(self, node_id: int, payload: bytes) -> str:
        """Return the id of a new message with these bytes."""
        array = Array("uint8", (len(payload),), STORED_AS, payload)
        message = Message(RecordDict({RECORD: ArrayRecord({ARRAY: array})}), node_id, MESSAGE_TYPE)
        with no_object_id_recompute():
            message_id: str = message.object_id
            message.metadata.__dict__["_message_id"] = message_id
            contents = {key: value.deflate() for key, value in get_all_nested_objects(message).items()}
            header = message_to_proto(remove_content_from_message(message))
            self._outgoing[message_id] = _Outgoing(header, get_object_tree(message), contents)
        return message_id

    def push(self, message_id: str) -> bool:
        """Send a portion of the message; return whether the SuperLink has everything."""
        out = self._outgoing[message_id]
        if out.session_id is None:
            request = PushAppMessagesRequest(messages_list=[out.header], message_object_trees=[out.tree])
            response = self._call(self._client.PushMessages, request)
            if list(response.message_ids) != [message_id]:
                raise MessageRefused
            out.session_id, out.missing = response.session_id, list(response.objects_to_push)
        sent = 0
        while out.missing and sent < PORTION_BYTES:
            content = out.contents[out.missing[-1]]
            if not self._push_object(out, out.missing[-1], content):
                return False
            out.missing.pop()
            sent += len(content)
        if not out.missing:
            out.contents.clear()
        return not out.missing

    def _push_object(self, out: _Outgoing, object_id: str, content: bytes) -> bool:
        session_id, out.session_id = out.session_id, None
        request = PushObjectRequest(
            node=self._node,
            run_id=self.flower_run_id,
            session_id=session_id or "",
            object_id=object_id,
            object_content=content,
        )
        if not self._call(self._client.PushObject, request).stored:
            # A request whose answer was lost has stored it already, or the session is gone. Without a session the next
            # call asks again what is missing.
            return False
        out.session_id = session_id
        return True

    def poll(self, message_ids: Collection[str]) -> tuple[dict[str, bytes | Trouble], bool]:
        """Return known outcomes by message, and whether a piece of another reply arrived."""
        outcomes: dict[str, bytes | Trouble] = {}
        request = PullAppMessagesRequest(message_ids=[key for key in message_ids if key not in self._incoming])
        if request.message_ids:
            response = self._call(self._client.PullMessages, request)
            for header, tree in zip(response.messages_list, response.message_object_trees, strict=True):
                wanted = [branch.object_id for branch in iterate_object_tree(tree)]
                # The SuperLink hands a reply out once: from here it is kept until read, across lost connections.
                self._incoming[header.metadata.reply_to_message_id] = _Incoming(tree.object_id, wanted)
        progress = False
        for asked, reply in list(self._incoming.items()):
            if reply.wanted:
                progress |= self._fetch(reply, asked, outcomes)
            if not reply.wanted:
                outcomes[asked] = self._read(reply)
        for asked in outcomes:
            self._incoming.pop(asked, None)
        return outcomes, progress

    def forget(self, message_ids: Collection[str]) -> None:
        """Free what is kept for these messages."""
        for message_id in message_ids:
            self._outgoing.pop(message_id, None)
            self._incoming.pop(message_id, None)

    def close(self, ok: bool, detail_code: str) -> None:
        """End the Flower run. A SuperLink that is away notices the missing heartbeat itself within a minute."""
        if self._stop.is_set():
            return
        self._stop.set()
        outcome = PushTaskOutputRequest(sub_status=SubStatus.COMPLETED if ok else SubStatus.FAILED, details=detail_code)
        for _ in range(3):
            try:
                call(self._client.PushTaskOutput, outcome, RUN_ENDED)
                break
            except LinkAway:
                time.sleep(1.0)
            except DoudiError as error:
                _log.warning("the Flower run was not ended: %s", error.code)
                break
        self._heart.join(timeout=1.0)
        self._client.close()

    def _fetch(self, reply: _Incoming, asked: str, outcomes: dict[str, bytes | Trouble]) -> bool:
        fetched = 0
        while reply.wanted and fetched < PORTION_BYTES:
            request = PullObjectRequest(node=self._node, run_id=self.flower_run_id, object_id=reply.wanted[-1])
            response = self._call(self._client.PullObject, request)
            if not response.object_found:
                outcomes[asked] = Trouble.LOST_ON_THE_WAY
                break
            if not response.object_available:
                break
            reply.contents[reply.wanted.pop()] = response.object_content
            fetched += len(response.object_content)
        return fetched > 0

    def _read(self, reply: _Incoming) -> bytes | Trouble:
        try:
            self._call(
                self._client.ConfirmMessageReceived,
                ConfirmMessageReceivedRequest(
                    node=self._node, run_id=self.flower_run_id, message_object_id=reply.object_id
                ),
            )
        except LinkAway:
            # Only frees the SuperLink's copy; the reply is here.
            _log.warning("a reply's copy stays at the SuperLink until the run ends")
        return read_reply(reply.object_id, reply.contents)

    def _call(self, method: Any, request: Any) -> Any:
        if self._ended.is_set():
            raise DoudiError(RUN_ENDED, "the Flower run was stopped or has expired")
        return call(method, request, RUN_ENDED)

    def _beat(self) -> None:
        # flwr's own sender raises SIGINT when the task is gone; here the next call reports it instead.
        while not self._stop.wait(TASK_HEARTBEAT_S):
            try:
                if not call(self._client.SendTaskHeartbeat, SendTaskHeartbeatRequest(), RUN_ENDED).success:
                    self._ended.set()
            except LinkAway:
                continue
            except DoudiError as error:
                if error.code == RUN_ENDED:
                    self._ended.set()


def read_reply(object_id: str, contents: dict[str, bytes]) -> bytes | Trouble:
    """Return the payload in a reply's objects, which a node chose and nobody checked; `Trouble` when there is none."""
    try:
        message = inflate_object_from_contents(object_id, contents)
        if message.has_error():
            return Trouble.LOST_ON_THE_WAY if message.error.code in _PASSING else Trouble.FAILED
        data = message.content[RECORD][ARRAY].data
    except Exception as error:  # noqa: BLE001 - the border: flwr's parsers raise whatever the node's bytes provoke.
        _log.warning("a reply cannot be read: %s", type(error).__name__)
        return Trouble.FAILED
    return data if isinstance(data, bytes) else Trouble.FAILED


def _acquire_token(address: str, ca_file: Path, secret_file: Path, timeout_s: float) -> str:
    signer = SuperExecAuthHttpInterceptor(
        master_secret=secret_file.read_bytes(), protected_methods=frozenset({"/flwr.proto.Runtime/AcquireTask"})
    )
    client = bounded_client(RuntimeHttpClient, address, ca_file, [signer])
    request = AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP])
    deadline, away = time.monotonic() + timeout_s, True
    with client:
        while True:
            try:
                response = call(client.AcquireTask, request, "relay.secret_refused")
                away = False
                if response.token:
                    return str(response.token)
            except LinkAway:
                away = True
            if time.monotonic() >= deadline:
                break
            time.sleep(0.2)
    if away:
        raise DoudiError("relay.superlink_lost", "the SuperLink does not answer", "Start the SuperLink first.")
    raise DoudiError("relay.no_task", "no Flower run waits for its task", "Start the run before its relay.")
