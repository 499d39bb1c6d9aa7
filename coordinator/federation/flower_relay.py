"""The relay over Flower, for the child process of one run: one SuperLink task, one relay, one process."""

from collections.abc import Mapping
from pathlib import Path

from coordinator.federation.exchange import Exchange, Patience
from coordinator.federation.flower_link import FlowerLink
from coordinator.federation.relay import Lost, OnReply


class FlowerRelay:
    """Carries requests to department nodes through a SuperLink. Not for several threads; one per process."""

    def __init__(self, link: FlowerLink, patience: Patience) -> None:
        self._link, self._patience, self._pushed = link, patience, 0

    @classmethod
    def acquire(
        cls, address: str, ca_file: Path, secret_file: Path, timeout_s: float, patience: Patience | None = None
    ) -> "FlowerRelay":
        """Return the relay of the oldest Flower run that waits for its ServerApp; its heartbeat runs from now on.

        `address`: the SuperLink's own listener on loopback, as host:port. Raises `relay.no_task`,
        `relay.secret_refused`, `relay.superlink_lost` or `flower.unexpected_version`.
        """
        return cls(FlowerLink.acquire(address, ca_file, secret_file, timeout_s), patience or Patience())

    @property
    def flower_run_id(self) -> int:
        """The run as Flower numbers it; compare it with what `FlowerControl.start_run` returned."""
        return self._link.flower_run_id

    @property
    def messages_pushed(self) -> int:
        """How many messages were sent so far, repeats included."""
        return self._pushed

    def exchange(
        self, requests: Mapping[str, bytes], timeout_s: float, on_reply: OnReply | None = None
    ) -> dict[str, bytes | Lost]:
        """Return every department's reply or loss, at the latest `timeout_s` and one request timeout (15 s) from now.

        Raises `relay.superlink_lost` when the SuperLink stays away, `relay.run_ended` when the run was stopped.
        """
        exchange = Exchange(self._link, requests, timeout_s, self._patience, on_reply)
        try:
            return exchange.run()
        finally:
            self._pushed += exchange.pushes

    def close(self, ok: bool, detail_code: str) -> None:
        """End the Flower run as completed or failed; `detail_code` is a code, never a text."""
        self._link.close(ok, detail_code)
