"""The SuperNode as Doudi runs it: `python -m department_nodes.federation.supernode`.

It is `flower-supernode --isolation process` of flwr 1.41.0 with these attributes replaced, because they are written into
its code and have no settings. Nothing else in the department's program patches Flower.

- Pauses: 3 s when idle and 0.5 s while a reply is awaited cost most of a message's time.
- Heartbeats: every 30 s at first means a dead node is noticed after a minute; and one failed heartbeat with status 500
  ended the sender, so that the node looked dead for ever.
- Retries after an outage: up to 20 s apart, which is longer than the SuperLink waits for a heartbeat.
- Activation: a node that was killed and restarts within 20 s is refused as "still online"; stock Flower then gives up.
- A worker that dies between taking a task and fetching its message left the SuperNode waiting for ever.
"""

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from flwr.supercore import heartbeat
from flwr.supercore.corestate import in_memory_corestate
from flwr.supercore.inflatable import inflatable_utils
from flwr.supercore.retry import RetryInvoker, exponential, http_retry
from flwr.supernode import fleet_http_connection, start_client_internal
from flwr.supernode.cli.flower_supernode import flower_supernode
from flwr.supernode.nodestate import in_memory_nodestate, nodestate_factory

from crypto.errors import DoudiError
from department_nodes.federation.flower_engine import require_flower

IDLE_POLL_S = 0.25
REPLY_POLL_S = 0.05
HEARTBEAT_S = 10
LONGEST_RETRY_S = 2
ACTIVATION_PATIENCE_S = 30.0
EXIT_CONNECTION_LOST = 75


class _Pauses:
    """Stands for the module `time` in Flower's main loop, which sleeps for fixed times: 3 s idle, 0.5 s for a reply."""

    @staticmethod
    def sleep(seconds: float) -> None:
        time.sleep(IDLE_POLL_S if seconds >= 1 else REPLY_POLL_S)


class _SteadyHeartbeat(heartbeat.HeartbeatSender):  # type: ignore[misc]  # flwr is not type-checked
    """A heartbeat that outlives a SuperLink's bad moment, and returns within two seconds of the SuperLink."""

    def __init__(self, heartbeat_fn: Any) -> None:
        super().__init__(heartbeat_fn)
        self._retry_invoker = RetryInvoker(
            lambda: exponential(base_delay=0.5, max_delay=LONGEST_RETRY_S),
            heartbeat.HeartbeatFailure,
            max_tries=None,
            max_time=None,
            wait_function=self._stop_event.wait,
        )

    def _heartbeat(self) -> None:
        try:
            super()._heartbeat()
        except (httpx.HTTPError, ValueError):
            raise heartbeat.HeartbeatFailure from None


class _PatientFleetClient(fleet_http_connection.FleetHttpClient):  # type: ignore[misc]  # flwr is not type-checked
    """Waits while the SuperLink still takes this node's predecessor for online."""

    patience_s = ACTIVATION_PATIENCE_S

    def ActivateNode(self, request: Any) -> Any:
        give_up_at = time.monotonic() + self.patience_s
        while True:
            try:
                return super().ActivateNode(request)
            except httpx.HTTPStatusError as error:
                if error.response.status_code != httpx.codes.PRECONDITION_FAILED or time.monotonic() >= give_up_at:
                    raise
            time.sleep(0.5)


class _AttentiveNodeState(in_memory_nodestate.InMemoryNodeState):  # type: ignore[misc]  # flwr is not type-checked
    """Also answers for a message that a dead worker never fetched; stock Flower answers for fetched ones only."""

    def _on_task_tokens_expired(self, tasks: list[Any]) -> None:
        expired_runs = {task.run_id for task in tasks}
        with self.lock_msg_store:
            for entry in self.msg_store.values():
                if entry.message.metadata.run_id in expired_runs and not entry.message.metadata.reply_to_message_id:
                    entry.is_retrieved = True
        super()._on_task_tokens_expired(tasks)


_REPLACED: tuple[tuple[Any, str], ...] = (
    (start_client_internal, "time"),
    (start_client_internal, "pull_objects"),
    (fleet_http_connection, "HEARTBEAT_DEFAULT_INTERVAL"),
    (fleet_http_connection, "HeartbeatSender"),
    (fleet_http_connection, "FleetHttpClient"),
    (heartbeat, "HEARTBEAT_DEFAULT_INTERVAL"),
    (http_retry, "MAX_RETRY_DELAY"),
    (http_retry, "_RETRYABLE_STATUS_CODES"),
    (in_memory_corestate, "HEARTBEAT_DEFAULT_INTERVAL"),
    (nodestate_factory, "InMemoryNodeState"),
)
_USED: tuple[tuple[Any, str], ...] = (
    (heartbeat.HeartbeatSender, "_heartbeat"),
    (fleet_http_connection.FleetHttpClient, "ActivateNode"),
    (in_memory_nodestate.InMemoryNodeState, "_on_task_tokens_expired"),
)


def replace_attributes(activation_patience_s: float = ACTIVATION_PATIENCE_S) -> None:
    """Replace what the module's docstring lists. Raises `flower.unexpected_version` before anything is replaced."""
    require_flower(_REPLACED + _USED)
    _PatientFleetClient.patience_s = activation_patience_s
    start_client_internal.time = _Pauses
    start_client_internal.pull_objects = partial(inflatable_utils.pull_objects, initial_backoff=0.05, backoff_cap=1.0)
    fleet_http_connection.HEARTBEAT_DEFAULT_INTERVAL = HEARTBEAT_S
    fleet_http_connection.HeartbeatSender = _SteadyHeartbeat
    fleet_http_connection.FleetHttpClient = _PatientFleetClient
    heartbeat.HEARTBEAT_DEFAULT_INTERVAL = HEARTBEAT_S
    http_retry.MAX_RETRY_DELAY = LONGEST_RETRY_S
    http_retry._RETRYABLE_STATUS_CODES = http_retry._RETRYABLE_STATUS_CODES | {httpx.codes.INTERNAL_SERVER_ERROR}
    in_memory_corestate.HEARTBEAT_DEFAULT_INTERVAL = HEARTBEAT_S
    nodestate_factory.InMemoryNodeState = _AttentiveNodeState


def run_supernode(superlink: str, ca_file: Path, key_file: Path, worker_port: int, secret_file: Path) -> None:
    """Serve until SIGTERM or SIGINT; call it once, in the main thread of an own process, after `replace_attributes`.

    Never returns: when Flower gives the connection up its main loop ends, but its worker interface would keep the
    process alive and deaf, so the process ends with status 75 and its supervisor starts it again.
    """
    sys.argv = [
        "flower-supernode",
        *("--superlink", superlink, "--root-certificates", str(ca_file)),
        *("--auth-supernode-private-key", str(key_file), "--superexec-auth-secret-file", str(secret_file)),
        *("--isolation", "process", "--host", "127.0.0.1", "--port", str(worker_port)),
    ]
    flower_supernode()
    os._exit(EXIT_CONNECTION_LOST)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m department_nodes.federation.supernode",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--superlink", required=True, help="host:port of the coordinator's fleet listener")
    parser.add_argument("--ca", type=Path, required=True, help="PEM; the only root that is trusted for the SuperLink")
    parser.add_argument("--key", type=Path, required=True, help="this node's registered key (OpenSSH, ECDSA P-384)")
    parser.add_argument("--worker-port", type=int, required=True, help="loopback port that the worker connects to")
    parser.add_argument("--superexec-secret-file", type=Path, required=True, help="shared with the worker only")
    parser.add_argument("--activation-patience-s", type=float, default=ACTIVATION_PATIENCE_S)
    chosen = parser.parse_args()
    try:
        replace_attributes(chosen.activation_patience_s)
    except DoudiError as error:
        raise SystemExit(f"{error}") from None
    run_supernode(chosen.superlink, chosen.ca, chosen.key, chosen.worker_port, chosen.superexec_secret_file)


if __name__ == "__main__":
    main()
