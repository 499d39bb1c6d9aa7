"""The warm worker: answers steps in this process, with the program that the department installed.

Stock Flower unpacks the coordinator's bundle and starts it in a new process for each message. This worker speaks the
same interface of the SuperNode (flwr 1.41.0: AcquireTask, PullTaskInput, PullMessages, PushMessages, PushTaskOutput)
and drops the bundle unread. What a handler raises never leaves: a code goes out, the type goes to the log.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.app.error import Error
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode, SubStatus
from flwr.common.serde import context_from_proto
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullAppMessagesRequest,
    PullTaskInputRequest,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.constant import TaskType
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_confirm_message_received_fn_protobuf,
    make_pull_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import ObjectUnavailableError, pull_and_inflate_object_from_tree
from flwr.supercore.interceptors import RuntimeTokenHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.runtime.run_clientapp import push_message

from crypto.errors import DoudiError
from department_nodes.federation.flower_engine import require_flower

# The form of a payload in a Flower message; coordinator.federation.flower_link has the same, and the test with real
# processes holds them together.
ACTION, RECORD, ARRAY, STORED_AS = "step", "frame", "bytes", "doudi.frame"

INTERNAL_ERROR = "node.internal_error"
# Our SuperNode takes a worker for dead after 20 s without a heartbeat.
HEARTBEAT_S = 5.0
REQUEST_TIMEOUT_S = 60.0
LONGEST_PAUSE_S = 2.0
# Pieces of a message follow each other within a second or two; a silence of this length is the end of it.
LONGEST_SILENCE_S = 12.0
_log = logging.getLogger(__name__)

Handler = Callable[[bytes], bytes]


def build_client_app(handler: Handler) -> ClientApp:
    """Return a ClientApp that answers `query.step` with the handler's bytes.

    Called with other content, the app raises `worker.bad_message`.
    """
    app = ClientApp()

    def step(message: Message, context: Context) -> Message:
        try:
            request = message.content[RECORD][ARRAY].data
        except (KeyError, TypeError, AttributeError):
            raise DoudiError("worker.bad_message", "the message carries no frame") from None
        reply = handler(request)
        array = Array("uint8", (len(reply),), STORED_AS, reply)
        return Message(RecordDict({RECORD: ArrayRecord({ARRAY: array})}), reply_to=message)

    app.query(ACTION)(step)
    return app


def serve(
    handler: Handler, runtime_address: str, secret_file: Path, stop: threading.Event, poll_s: float = 0.1
) -> None:
    """Answer steps until `stop` is set; one at a time, in this thread.

    `runtime_address`: the SuperNode's own loopback port, as host:port. A SuperNode that is away is waited for. Raises
    `worker.secret_refused` when the SuperNode knows another secret, and `flower.unexpected_version`.
    """
    require_flower()
    app = build_client_app(handler)
    signer = SuperExecAuthHttpInterceptor(
        master_secret=secret_file.read_bytes(), protected_methods=frozenset({"/flwr.proto.Runtime/AcquireTask"})
    )
    request = AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP])
    pause = poll_s
    with _client(runtime_address, signer) as acquirer:
        while not stop.is_set():
            try:
                token = acquirer.AcquireTask(request).token
                pause = poll_s
            except httpx.HTTPStatusError as error:
                if error.response.status_code in (401, 403):
                    raise DoudiError(
                        "worker.secret_refused",
                        "the SuperNode refuses this worker's secret",
                        "Give SuperNode and worker the same secret file, and restart both.",
                    ) from None
                token, pause = "", min(pause * 2, LONGEST_PAUSE_S)
            except httpx.TransportError:
                token, pause = "", min(pause * 2, LONGEST_PAUSE_S)
            if token:
                _answer_task(app, runtime_address, token)
            else:
                stop.wait(pause)


def run_app(app: ClientApp, message: Message, context: Context) -> tuple[Message, bool]:
    """Return the reply and whether it is a good one. Never raises: this is the border."""
    try:
        return app(message=message, context=context), True
    except DoudiError as error:
        _log.error("a step ended with %s", error.code)
    except Exception as error:  # noqa: BLE001 - the outermost border: nothing of the exception may reach the coordinator.
        _log.error("a step ended with an unexpected %s", type(error).__name__)
    return Message(Error(code=ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason=INTERNAL_ERROR), reply_to=message), False


def _answer_task(app: ClientApp, address: str, token: str) -> None:
    try:
        with _client(address, RuntimeTokenHttpInterceptor(token)) as client, _Heartbeat(client):
            message, context = _pull(client)
            reply, good = run_app(app, message, context)
            del message
            push_message(client, reply, context)
            client.PushTaskOutput(
                PushTaskOutputRequest(
                    sub_status=SubStatus.COMPLETED if good else SubStatus.FAILED, details="" if good else INTERNAL_ERROR
                )
            )
    except Exception as error:  # noqa: BLE001 - the outermost border of one task; the coordinator asks again.
        # The SuperNode restarted, the task expired, or the message vanished under way: the node's own table of finished
        # steps answers the repeat.
        _log.warning("a task was dropped: %s", type(error).__name__)


def _pull(client: Any) -> tuple[Message, Context]:
    """Return the task's message. As flwr's `pull_task_input`, without its first pause of a second for late objects."""
    response = client.PullTaskInput(PullTaskInputRequest())
    TaskIdentity.task_id = response.task_id
    TaskIdentity.run_id = response.run.run_id
    TaskIdentity.node_id = response.context.node_id
    context = context_from_proto(response.context)
    messages = client.PullMessages(PullAppMessagesRequest())
    if not messages.messages_list:
        raise DoudiError("worker.no_message", "the task has no message")
    tree, node = messages.message_object_trees[0], Node(node_id=context.node_id)
    message = pull_and_inflate_object_from_tree(
        tree,
        impatient(make_pull_object_fn_protobuf(client.PullObject, node, context.run_id)),
        make_confirm_message_received_fn_protobuf(client.ConfirmMessageReceived, node, context.run_id),
        return_type=Message,
        max_time=60,
        max_tries_per_object=None,
        initial_backoff=0.05,
        backoff_cap=0.5,
    )
    message.metadata.__dict__["_message_id"] = tree.object_id
    return message, context


def impatient(pull: Callable[[str], bytes], clock: Callable[[], float] = time.monotonic) -> Callable[[str], bytes]:
    """Return `pull`, giving the message up when no piece of it came for a while.

    A message whose run ended while it was on its way never becomes whole, and while it is waited for the node is deaf.
    """
    last_piece = clock()

    def pull_piece(object_id: str) -> bytes:
        nonlocal last_piece
        try:
            data = pull(object_id)
        except ObjectUnavailableError:
            if clock() - last_piece > LONGEST_SILENCE_S:
                raise DoudiError("worker.incomplete_message", "no piece of the message came any more") from None
            raise
        last_piece = clock()
        return data

    return pull_piece


def _client(address: str, interceptor: Any) -> Any:
    # Without flwr's factory of retries, which never gives up and sends SIGINT to this process on HTTP 401.
    return RuntimeHttpClient(
        f"http://{address}", interceptors=(interceptor,), timeout=REQUEST_TIMEOUT_S, retry_invoker=None
    )


class _Heartbeat:
    """Tells the SuperNode that the step is being worked on. flwr's own sender raises SIGINT when the task is gone."""

    def __init__(self, client: Any) -> None:
        self._client, self._stop = client, threading.Event()
        self._thread = threading.Thread(target=self._beat, name="flower-task-heartbeat", daemon=True)

    def __enter__(self) -> "_Heartbeat":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=HEARTBEAT_S)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            try:
                self._client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
            except (httpx.HTTPError, ValueError, RuntimeError) as error:
                _log.info("a heartbeat was not heard: %s", type(error).__name__)
