"""Carrying messages inside one process: `LocalRelay` for runs without Flower, `LocalGrid` for a ClientApp without processes."""

from collections.abc import Callable, Iterable, Mapping

from flwr.app import Context, Message, RecordDict
from flwr.app.error import Error
from flwr.clientapp import ClientApp
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from coordinator.federation.relay import NODE_FAILED, NODE_UNREACHABLE, Lost, OnReply
from crypto.errors import DoudiError
from department_nodes.federation.worker import run_app

Handler = Callable[[bytes], bytes]
Tamper = Callable[[str, bytes], bytes]


def _untouched(_department: str, data: bytes) -> bytes:
    return data


class LocalRelay:
    """Implements `Relay` over handlers. A test may drop requests and change requests or replies on the way.

    `drop(department, request)`: true if the request is lost. `repeats`: how often each request is delivered; the last
    reply counts, as when Flower asks a node again.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        drop: Callable[[str, bytes], bool] = lambda _department, _request: False,
        tamper_request: Tamper = _untouched,
        tamper_reply: Tamper = _untouched,
        repeats: int = 1,
    ) -> None:
        self.handlers, self.drop, self.repeats = dict(handlers), drop, repeats
        self.tamper_request, self.tamper_reply = tamper_request, tamper_reply
        self.messages_pushed = 0

    def exchange(
        self, requests: Mapping[str, bytes], timeout_s: float, on_reply: OnReply | None = None
    ) -> dict[str, bytes | Lost]:
        """Return the handlers' replies; a handler that raises `DoudiError` is `node.failed`, as at a real worker."""
        outcomes: dict[str, bytes | Lost] = {}
        for department, request in requests.items():
            for _ in range(self.repeats):
                self.messages_pushed += 1
                outcomes[department] = self._deliver(department, request)
            if on_reply is not None:
                on_reply(department, outcomes[department])
        return outcomes

    def _deliver(self, department: str, request: bytes) -> bytes | Lost:
        if department not in self.handlers or self.drop(department, request):
            return Lost(NODE_UNREACHABLE)
        try:
            reply = self.handlers[department](self.tamper_request(department, request))
        except DoudiError:
            return Lost(NODE_FAILED)
        return self.tamper_reply(department, reply)


class LocalGrid(Grid):
    """Flower's Grid over one ClientApp per node, called in this process through the worker's own border."""

    def __init__(self, apps: Mapping[str, ClientApp], drop: Callable[[str], bool] = lambda _name: False) -> None:
        self._apps = {100 + number: (name, app) for number, (name, app) in enumerate(apps.items())}
        self._drop, self._run = drop, Run.create_empty(run_id=1)
        self._replies: dict[str, Message] = {}
        self._pushed = 0
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        return list(self._apps)

    def get_nodes(self) -> Iterable[NodeInfo]:
        return [NodeInfo(node_id=node_id, status="online", name=name) for node_id, (name, _) in self._apps.items()]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = []
        for message in messages:
            self._pushed += 1
            message_id = f"{self._pushed:064x}"
            message.metadata.__dict__["_message_id"] = message_id
            node_id = message.metadata.dst_node_id
            name, app = self._apps[node_id]
            if self._drop(name):
                reply = Message(Error(code=5, reason="node unavailable"), reply_to=message)
            else:
                context = Context(run_id=1, node_id=node_id, node_config={}, state=RecordDict(), run_config={})
                reply, _ = run_app(app, message, context)
            self._replies[message_id] = reply
            pushed.append(message_id)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._replies.pop(each) for each in list(message_ids) if each in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return self.pull_messages(self.push_messages(messages))
