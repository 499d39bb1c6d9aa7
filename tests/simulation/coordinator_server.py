"""The real coordinator behind TLS on a free port of 127.0.0.1, in a thread, for nodes that reach it as their officers do."""

import socket
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn
from region import LEAD, Region

from coordinator.app import create_app
from coordinator.installation import CA_FILE, CENTRE_CARD_FILE, Installation, install
from department_nodes.client import CoordinatorClient
from department_nodes.config import write_config
from department_nodes.trust import pin
from policies.contracts.cards import CentreCard
from policies.contracts.grant import SignedGrant, sign_grant
from policies.contracts.revocations import RevocationList, RevokedGrant, SignedRevocationList, sign_revocations

START_TIMEOUT_S = 30
PROJECT = "support-2026"


class CoordinatorServer:
    """A coordinator, and the centre's officer with the keys of its device."""

    def __init__(self, folder: Path, further_approvers: int = 0) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        chosen = Installation(
            home=folder / "coordinator",
            officer_home=folder / "officer",
            hosts=["127.0.0.1"],
            listen="127.0.0.1",
            api_port=port,
            fleet_port=9092,
            superlink_api_port=9091,
            step_timeout_s=900,
            further_approvers=further_approvers,
        )
        config = install(chosen, int(time.time()))
        self.url, self.officer = f"https://127.0.0.1:{port}", chosen.officer_home
        self.approval_key, self.api_key, self.revocation_key = (
            bytes.fromhex((self.officer / f"{name}.key").read_text()) for name in ("approval", "api", "revocation")
        )
        further = sorted(self.officer.glob("approver-*/approval.key"))
        self.further_approval_keys = [bytes.fromhex(path.read_text()) for path in further]
        self.card = CentreCard.parse((self.officer / CENTRE_CARD_FILE).read_bytes())
        self.client = CoordinatorClient(self.url, self.officer / CA_FILE, "centre", self.api_key)
        self._list: SignedRevocationList | None = None
        self._app = create_app(config, register_flower_node=lambda _name, _key: None)
        settings = uvicorn.Config(
            self._app,
            ssl_certfile=str(config.path(config.tls_certificate_file)),
            ssl_keyfile=str(config.path(config.tls_key_file)),
            access_log=False,
            log_level="warning",
            ws="none",
        )
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the coordinator did not start")
            time.sleep(0.02)

    def admit(self, region: Region) -> None:
        """Register a region's departments and open its project; every node pins this centre and reaches it from now on."""
        for name, home in region.homes.items():
            write_config(region.folder / name, home.config.model_copy(update={"coordinator_url": self.url}))
            region.stop(name)
            region.homes[name].ca_file.write_bytes((self.officer / CA_FILE).read_bytes())
            pin(region.homes[name], self.card, replace=True)
            self.client.post("/v1/parties", region.cards[name].model_dump(mode="json"))
        project = {
            "project_id": PROJECT,
            "title": "Winter aid",
            "purpose": "social_assistance",
            "region": "test",
            "lead": LEAD,
        }
        self.client.post("/v1/projects", project)

    def sign(self, number: int, key: bytes | None = None) -> dict[str, Any]:
        """Sign a request's grant as the centre's officer does, or a further approver of this key; return the request."""
        signed = SignedGrant.parse(self.client.get_bytes(f"/v1/requests/{number}/grant"))
        own = sign_grant(signed.grant, "centre", "centre", key or self.approval_key)
        body = SignedGrant(grant=signed.grant, signatures=(own,)).to_bytes()
        answer: dict[str, Any] = self.client.put_bytes(f"/v1/requests/{number}/signatures", body)
        return answer

    def publish_revocations(self, *revoked: RevokedGrant) -> None:
        """Publish the centre's next list."""
        now_s = int(time.time())
        content = (
            RevocationList(party="centre", number=1, issued_at=now_s) if self._list is None else self._list.content
        )
        for entry in revoked or (None,):
            content = content.following(now_s, entry)
        self._list = sign_revocations(content, self.revocation_key)
        self.client.put_bytes("/v1/revocations/centre", self._list.to_bytes())

    def state(self, number: int) -> str:
        """Return a request's state."""
        return str(self.client.get(f"/v1/requests/{number}")["state"])

    def close(self) -> None:
        """End the server and wait for it."""
        self.client.close()
        # Nodes that wait for the log are answered now, and not when they have waited for long enough.
        self._app.state.context.ledger.notifier.close()
        self._server.should_exit = True
        self._thread.join(START_TIMEOUT_S)
