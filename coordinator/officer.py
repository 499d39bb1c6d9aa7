"""The centre officer's side: the folder with the centre's keys, and signed requests to the coordinator's API.

Runs on the officer's device. What it trusts is in that folder: the certificate authority, and the cards that the officer
compared by telephone before registering them. It does not believe the coordinator about keys.
"""

import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from command_line.documents import read_document_bytes, write_atomically
from coordinator.grants.keys import CentreKeys
from coordinator.installation import API_KEY_FILE, APPROVAL_KEY_FILE, CA_FILE, CENTRE_CARD_FILE
from coordinator.parties.services import CENTRE
from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from policies.contracts.cards import CentreCard, DepartmentCard
from policies.contracts.grant import SignedGrant
from policies.contracts.requests import sign_request

CARDS_FOLDER = "cards"
TIMEOUT_S = 30.0
UNREACHABLE = "coordinator.unreachable"
BAD_ANSWER = "coordinator.bad_answer"
MAXIMUM_FILE_BYTES = 1 << 20
_PROBLEM_PREFIX = "urn:doudi:"


@dataclass(frozen=True)
class Officer:
    """The centre's officer. `clock` gives seconds since 1970 UTC."""

    home: Path
    clock: Callable[[], float]

    @property
    def centre_card(self) -> CentreCard:
        """The centre's own card. Raises `file.unreadable` or `document.malformed`."""
        return CentreCard.parse(read_file(self.home / CENTRE_CARD_FILE))

    @property
    def centre_keys(self) -> CentreKeys:
        """The centre's public keys as its own card has them."""
        card = self.centre_card
        return CentreKeys((card.approval_key, *card.co_approval_keys), card.revocation_key)

    def approval_key(self, folder: Path | None = None) -> bytes:
        """Return the private key that approves grants: the officer's, or a further approver's in another folder.

        Raises `file.unreadable`.
        """
        return self.private_key(APPROVAL_KEY_FILE, folder)

    def cards(self) -> dict[str, DepartmentCard]:
        """Return the cards that this officer has registered, by department."""
        found = [
            DepartmentCard.parse(read_document_bytes(path))
            for path in sorted((self.home / CARDS_FOLDER).glob("*.json"))
        ]
        return {card.department: card for card in found}

    def keep_card(self, card: DepartmentCard) -> None:
        """Remember a card that the officer registered: grants are compared with it before the centre signs them."""
        folder = self.home / CARDS_FOLDER
        write_atomically(folder / f"{card.department}.json", card.to_bytes())

    def get(self, path: str) -> Any:
        """Return the JSON answer to a signed GET. Raises as `request`."""
        return self.request("GET", path)

    def health(self) -> Any:
        """Return the answer of the health check. Raises as `request`."""
        return self.request("GET", "/v1/health")

    def request(self, method: str, path: str, body: bytes = b"") -> Any:
        """Return the JSON answer to a signed request.

        Raises `coordinator.unreachable`, `coordinator.bad_answer`, or the code of the coordinator's refusal.
        """
        return _parse_answer(self._send(method, path, body, self._signed(method, path, body)))

    def request_as(self, token: str, method: str, path: str, body: bytes = b"") -> Any:
        """Return the JSON answer to a request for which a person's API token is shown. Raises as `request`."""
        return _parse_answer(self._send(method, path, body, {"Authorization": f"Bearer {token}"}))

    def fetch(self, path: str) -> bytes:
        """Return the bytes of an answer that is no JSON, at most 1 MiB; nothing of them is verified. Raises as `request`."""
        answer = self._send("GET", path, b"", self._signed("GET", path, b""))
        if not answer.is_success:
            _parse_answer(answer)
        if len(answer.content) > MAXIMUM_FILE_BYTES:
            raise DoudiError(BAD_ANSWER, "the coordinator's answer is above 1 MiB", "Check the address.")
        return answer.content

    def _signed(self, method: str, path: str, body: bytes) -> dict[str, str]:
        return sign_request(self.private_key(API_KEY_FILE), CENTRE, method, path, body, int(self.clock()))

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        card = self.centre_card
        try:
            # The environment may name proxies or other authorities; this connection takes neither.
            context = ssl.create_default_context(cafile=str(self.home / CA_FILE))
            with httpx.Client(verify=context, timeout=TIMEOUT_S, trust_env=False) as client:
                return client.request(method, card.url + path, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            raise DoudiError(
                UNREACHABLE,
                "the coordinator does not answer",
                "Start it with `doudi centre run`, or check the network.",
            ) from None

    def document(self, path: str) -> bytes:
        """Return a signed document, byte for byte. Raises as `request`; nothing of it is verified."""
        return canonical_json(self.request("GET", path))

    def private_key(self, name: str, folder: Path | None = None) -> bytes:
        """Return a private key of 32 bytes from the officer's folder, or from another one. Raises `file.unreadable`."""
        try:
            key = bytes.fromhex(read_file((folder or self.home) / name).decode("ascii").strip())
        except ValueError:
            key = b""
        if len(key) != 32:
            raise DoudiError("file.unreadable", f"{name} is not a key", "Use the folder that `doudi centre init` made.")
        return key


def read_file(path: Path) -> bytes:
    """Return a small file without the line end that editors add. Raises `file.unreadable`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAXIMUM_FILE_BYTES + 1)
    except OSError:
        raise DoudiError("file.unreadable", f"{path.name} cannot be read", "Check the path and its rights.") from None
    if len(data) > MAXIMUM_FILE_BYTES:
        raise DoudiError("file.unreadable", f"{path.name} is above 1 MiB", "Check the path.")
    return data.rstrip(b"\r\n")


def read_grant(path: Path) -> SignedGrant:
    """Return the grant in a file, with the signatures that it has: of either kind, alone or signed, not yet verified.

    Raises `file.unreadable` or `document.malformed`.
    """
    data = read_document_bytes(path)
    try:
        return SignedGrant.parse(data)
    except DoudiError:
        # The grant alone: the same document without a signature.
        return SignedGrant.parse(b'{"grant":' + data + b',"signatures":[]}')


def _parse_answer(answer: httpx.Response) -> Any:
    try:
        content = json.loads(answer.content)
    except ValueError:
        content = None
    if answer.is_success and content is not None:
        return content
    kind = content.get("type", "") if isinstance(content, dict) else ""
    if not isinstance(kind, str) or not kind.startswith(_PROBLEM_PREFIX):
        raise DoudiError(BAD_ANSWER, "the coordinator gave an answer that is none of its own", "Check the address.")
    detail, next_step = content.get("detail", ""), content.get("next_step", "")
    raise DoudiError(kind.removeprefix(_PROBLEM_PREFIX), str(detail), str(next_step))
