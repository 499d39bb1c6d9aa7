"""Drives one round of a line by hand, phase by phase, so that a test can be a coordinator that lies."""

from collections.abc import Iterable, Mapping
from typing import Any

from line_region import Line
from region import code_of, parts_of

from policies.contracts.grant import SignedGrant
from policies.contracts.manifest import SignedManifest
from policies.contracts.steps import Step, pack_request


class RoundDriver:
    """One round. Each phase returns the replies' parts by department; `code` returns one refusal instead."""

    def __init__(self, line: Line, signed: SignedGrant, manifest: SignedManifest, number: int = 1) -> None:
        self.line, self.signed, self.manifest, self.number = line, signed, manifest, number
        self.given_keys: dict[str, bytes] = {}
        self.given_shares: dict[str, Mapping[str, bytes]] = {}
        self.given_consents: dict[str, bytes] = {}

    def request(
        self, step: Step, terms: Mapping[str, Any] | None = None, parts: Mapping[str, bytes] | None = None
    ) -> bytes:
        """Return a request of this round."""
        return pack_request(step, self.signed, self.manifest, terms, parts, self.number)

    def answer(self, name: str, request: bytes) -> bytes:
        """Return a node's reply."""
        return self.line.engines[name].answer(request)

    def code(self, name: str, request: bytes) -> str:
        """Return the code of a node's reply, or `ok`."""
        return code_of(self.answer(name, request))

    def keys(self, names: Iterable[str] | None = None) -> dict[str, bytes]:
        """Ask for fresh keys."""
        for name in names or self.line.parties:
            self.given_keys[name] = parts_of(self.answer(name, self.request(Step.LINE_KEYS)))["keys"]
        return self.given_keys

    def shares_request(self, keys: Mapping[str, bytes] | None = None) -> bytes:
        """Return the request for shares among a roster."""
        roster = keys or self.given_keys
        return self.request(Step.LINE_SHARES, {}, {f"keys/{name}": data for name, data in roster.items()})

    def shares(self) -> dict[str, Mapping[str, bytes]]:
        """Ask every member of the roster for shares."""
        for name in self.given_keys:
            self.given_shares[name] = parts_of(self.answer(name, self.shares_request()))
        return self.given_shares

    def update_request(self, name: str, members: Iterable[str] | None = None, model: bytes = b"") -> bytes:
        """Return the request for a node's masked update."""
        named = sorted(members or self.given_shares)
        envelopes = {f"shares/{other}": self.given_shares[other][f"shares/{name}"] for other in named if other != name}
        return self.request(Step.LINE_UPDATE, {"members": named}, {"model": model, **envelopes})

    def updates(self, members: Iterable[str] | None = None) -> dict[str, bytes]:
        """Ask every member for its update."""
        named = sorted(members or self.given_shares)
        return {name: parts_of(self.answer(name, self.update_request(name, named)))["update"] for name in named}

    def consent_request(self, survivors: Iterable[str]) -> bytes:
        """Return the request to sign a set of survivors."""
        return self.request(Step.LINE_CONSENT, {"survivors": sorted(survivors)})

    def consents(self, survivors: Iterable[str], asked: Iterable[str] | None = None) -> dict[str, bytes]:
        """Ask survivors for their consent."""
        named = sorted(survivors)
        for name in sorted(asked or named):
            self.given_consents[name] = parts_of(self.answer(name, self.consent_request(named)))["consent"]
        return self.given_consents

    def unmask_request(self, consents: Mapping[str, bytes] | None = None) -> bytes:
        """Return the request for the shares that remove the masks."""
        given = consents if consents is not None else self.given_consents
        return self.request(Step.LINE_UNMASK, {}, {f"consent/{name}": data for name, data in given.items()})

    def up_to_updates(self) -> dict[str, bytes]:
        """Run the phases up to the masked updates."""
        self.keys()
        self.shares()
        return self.updates()
