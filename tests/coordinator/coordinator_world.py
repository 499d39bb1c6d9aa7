"""An in-process coordinator with four departments, a clock that tests own, and signed requests over httpx' ASGI transport."""

import asyncio
import json
import re
import shutil
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from opened_records import Auditor, Recorded
from sqlalchemy import func, select

from command_line.paging import every_item
from coordinator.accounts.models import AccountRow
from coordinator.accounts.tokens import find_token, make_token
from coordinator.app import create_app, describe_api
from coordinator.authorization.principals import Principal
from coordinator.config import CoordinatorConfig, parse_config
from coordinator.context import AppContext
from coordinator.db.session import begin, open_engine
from coordinator.requests.answers import RequestDraft
from coordinator.requests.progress import advance_all
from crypto.canonical import canonical_json
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.assets import AssetRegistration, sign_asset
from policies.contracts.cards import DepartmentCard
from policies.contracts.grant import Grant, LineGrant, SignedGrant, sign_grant
from policies.contracts.manifest import KeyOffer, Manifest, SignedManifest, sign_manifest
from policies.contracts.requests import sign_request
from policies.contracts.revocations import RevocationList, RevokedGrant, sign_revocations
from policies.standards.loader import load_dataset_standard
from policies.standards.tier_loader import load_tier

START_S = 1_800_000_000
LEAD = "civil_affairs"
DEPARTMENTS = (LEAD, "health", "housing", "tax")
PROJECT = "winter-aid"
PURPOSE = "social_assistance"
PROGRAM = "ab" * 32
REGION = "kentucky"
# What each department's data follow, and two of the columns that it offers.
DATASETS = {"civil_affairs": "civil_affairs", "health": "health_disability", "housing": "housing", "tax": "tax"}
COLUMNS = {name: load_dataset_standard(dataset).feature_names[:2] for name, dataset in DATASETS.items()}
LINE_DATASET = "tax"


def public(private: bytes) -> str:
    return signing_public_key(private).hex()


@dataclass
class Keys:
    identity: bytes = field(default_factory=generate_signing_key)
    approval: bytes = field(default_factory=generate_signing_key)
    # Of a second approver: one key is one person.
    second: bytes = field(default_factory=generate_signing_key)
    scheduling: bytes = field(default_factory=generate_signing_key)
    revocation: bytes = field(default_factory=generate_signing_key)


@dataclass
class World:
    """Everything a test needs; methods named after what they do to the coordinator."""

    config: CoordinatorConfig
    api_key: bytes
    approval_key: bytes
    keys: dict[str, Keys]
    second_approval_key: bytes = b""
    revocation_key: bytes = b""
    now: float = START_S
    flower_nodes: list[tuple[str, str]] = field(default_factory=list)
    # Who opens what is recorded here.
    auditor: Auditor = field(default_factory=Auditor)

    @classmethod
    def in_folder(cls, folder: Path, migrated: Path, **settings: Any) -> "World":
        """Return a coordinator of its own in a folder. `migrated`: an empty database. `settings`: more of its file."""
        api_key, approval_key, second_key, revocation_key = (generate_signing_key() for _ in range(4))
        values = {
            "centre_api_key": public(api_key),
            "centre_approval_key": public(approval_key),
            "centre_co_approval_keys": (public(second_key),),
            "centre_revocation_key": public(revocation_key),
            **settings,
        }
        shutil.copy(migrated, folder / "coordinator.db")
        keys = {name: Keys() for name in DEPARTMENTS}
        config, auditor = parse_config(values, folder), Auditor()
        auditor.found(folder, config.ledger, approval_key, START_S)
        return cls(config, api_key, approval_key, keys, second_key, revocation_key, auditor=auditor)

    def __post_init__(self) -> None:
        self.engine = open_engine(self.config.resolved_database_url)
        self.app = create_app(
            self.config,
            clock=lambda: self.now,
            register_flower_node=lambda name, key: self.flower_nodes.append((name, key)),
        )

    def send(self, party: str, method: str, path: str, body: bytes = b"", **options: Any) -> httpx.Response:
        """Send a signed request; `key`, `headers`, `now`, `signed_path`, `signed_body` replace what is right."""
        key = options.get("key") or (self.api_key if party == "centre" else self.keys[party].identity)
        now = int(options.get("now", self.now))
        headers = options.get("headers")
        if headers is None:
            signed_path, signed_body = options.get("signed_path", path), options.get("signed_body", body)
            headers = sign_request(key, party, method, signed_path, signed_body, now)
        return self.raw(method, path, body, headers)

    def raw(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="https://coordinator") as client:
                return await client.request(method, path, content=body, headers=headers)

        answer = asyncio.run(call())
        require_documented(method, path, answer)
        return answer

    def token(self, party: str, *roles: str, write: bool = True, days: int = 1) -> str:
        """Return an API token of a new person of a party, who signs in at an identity provider."""
        with self.begin() as session:
            count = session.scalar(select(func.count()).select_from(AccountRow))
            row = AccountRow(
                login_name=f"person-{count}",
                party=party,
                roles=sorted(roles),
                state="active",
                oidc_issuer="https://provider.example",
                oidc_subject=f"subject-{count}",
                created_at=int(self.now),
                changed_at=int(self.now),
            )
            session.add(row)
            session.flush()
            scopes = {"read", "write"} if write else {"read"}
            return make_token(session, row, "program", scopes, days, two_factor=True)[0]

    def ask(self, token: str, method: str, path: str, body: bytes = b"") -> httpx.Response:
        """Send a request that shows an API token."""
        return self.raw(method, path, body, {"Authorization": f"Bearer {token}"})

    @property
    def context(self) -> AppContext:
        """The application's parts, for services that are called without HTTP."""
        context: AppContext = self.app.state.context
        return context

    def person(self, party: str, *roles: str) -> Principal:
        """Return a new person of a party, signed in with two factors."""
        found = self.token(party, *roles)
        with self.begin() as session:
            principal = find_token(session, found)
        assert principal is not None
        return replace(principal, scopes=None)

    def keep_house(self) -> int:
        """Do what the housekeeping does about requests; return how many moved."""
        with self.begin() as session:
            return advance_all(session)

    def begin(self) -> Any:
        return begin(self.engine, lambda: self.now)

    def records(self, kind: str | None = None) -> list[Recorded]:
        """Return what was recorded so far, as the auditor opens it; of one type, or all but what is about the ledger itself."""
        found = self.auditor.records(self.engine, ledgers_own=kind is not None)
        return [one for one in found if kind is None or one.type == kind]

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return what was recorded so far, as `records`."""
        return [asdict(one) for one in self.records(kind)]

    def listed(self, party: str, path: str) -> list[dict[str, Any]]:
        """Return every item of a list, over all its pages."""
        return list(every_item(lambda asked: self.send(party, "GET", asked).json(), path))

    def card(self, department: str, /, **changes: Any) -> DepartmentCard:
        keys, dataset = self.keys[department], DATASETS.get(department, LINE_DATASET)
        values = {
            "department": department,
            "region": REGION,
            "identity_key": public(keys.identity),
            "approval_key": public(keys.approval),
            "co_approval_keys": (public(keys.second),),
            "scheduling_key": public(keys.scheduling),
            "revocation_key": public(keys.revocation),
            "tier": "general_2",
            "tier_version": 1,
            "tier_hash": load_tier("general_2").standard_hash(),
            "allowed_purposes": ("social_assistance",),
            "flower_key": f"ecdsa-sha2-nistp384 {department}",
            "dataset": dataset,
            "standard_version": 1,
            "standard_hash": load_dataset_standard(dataset).standard_hash(),
            "people": 2000,
            "columns": load_dataset_standard(dataset).feature_names[:2],
            "program_hash": PROGRAM,
        }
        return DepartmentCard.model_validate({**values, **changes})

    def register_all(self) -> None:
        for department in DEPARTMENTS:
            assert self.send("centre", "POST", "/v1/parties", self.card(department).to_bytes()).status_code == 201

    def open_project(self, project_id: str = PROJECT) -> None:
        body = {
            "project_id": project_id,
            "title": "Winter aid",
            "purpose": "social_assistance",
            "region": "kentucky",
            "lead": LEAD,
        }
        assert self.send("centre", "POST", "/v1/projects", canonical_json(body)).status_code == 201

    def grant(self, **changes: Any) -> Grant:
        participants = [
            {
                "department": department,
                "role": "lead" if department == LEAD else "supporting",
                "dataset": DATASETS[department],
                "standard_version": 1,
                "standard_hash": load_dataset_standard(DATASETS[department]).standard_hash(),
                "columns": COLUMNS[department][:1],
                "operations": ["link", "train"],
                "declared_people": 3000,
                "evaluation_limit": 10_000,
                "tier": "general_2",
                "tier_version": 1,
                "tier_hash": load_tier("general_2").standard_hash(),
                "identity_key": public(self.keys[department].identity),
                "approval_key": public(self.keys[department].approval),
                "co_approval_keys": [public(self.keys[department].second)],
                "revocation_key": public(self.keys[department].revocation),
            }
            for department in DEPARTMENTS
        ]
        values = {
            "grant_id": "grant-1",
            "project_id": PROJECT,
            "purpose": "social_assistance",
            "region": "kentucky",
            "not_before": START_S - 100,
            "expires_at": START_S + 100_000,
            "program_hash": PROGRAM,
            "participants": participants,
            "linkage": {
                "project_id": changes.get("project_id", PROJECT),
                "nonce": "ef" * 32,
                "participants": DEPARTMENTS,
                "min_key_holders": 3,
            },
            "label": {"target": "coverage", "label_period": "y2026", "epsilon_milli": 1000},
            "evidence": {"levels": 32, "max_slots": 10_000, "bits_per_person_and_year": 60},
            "modes": ["evidence", "sum_only"],
            "runs_allowed": 2,
            "attempts_allowed": 2,
            "scheduler": {"department": LEAD, "key": public(self.keys[LEAD].scheduling)},
            "centre_key": public(self.approval_key),
            "centre_co_keys": self.config.centre_co_approval_keys,
            "centre_revocation_key": self.config.centre_revocation_key,
        }
        return Grant.model_validate({**values, **changes})

    def line_grant(self, **changes: Any) -> LineGrant:
        """Return a grant of a line over the same departments, as if they were one department of four regions."""
        participants = [
            {
                "department": department,
                "region": f"region-{number}",
                "role": "lead" if department == LEAD else "supporting",
                "dataset": LINE_DATASET,
                "standard_version": 1,
                "standard_hash": load_dataset_standard(LINE_DATASET).standard_hash(),
                "columns": COLUMNS["tax"][:1],
                "operations": ["line"],
                "declared_people": 3000,
                "tier": "general_2",
                "tier_version": 1,
                "tier_hash": load_tier("general_2").standard_hash(),
                "identity_key": public(self.keys[department].identity),
                "approval_key": public(self.keys[department].approval),
                "co_approval_keys": [public(self.keys[department].second)],
                "revocation_key": public(self.keys[department].revocation),
            }
            for number, department in enumerate(DEPARTMENTS)
        ]
        values = {
            **{
                name: value
                for name, value in self.grant().model_dump().items()
                if name not in ("kind", "participants", "linkage", "label", "evidence", "modes")
            },
            "grant_id": "line-1",
            "participants": participants,
            "target": "coverage",
            "label_period": "y2026",
            "training": {
                "model": "perceptron",
                "model_version": 1,
                "model_hash": "cd" * 32,
                "placement": "local",
                "clip_norm_milli": 1500,
                "noise_multiplier_milli": 1250,
                "sample_rate_ppm": 20_000,
                "local_steps": 5,
                "rounds": 40,
                "delta_exponent": 6,
                "local_rate_micro": 100_000,
            },
            "aggregation": {"min_survivors": 3, "update_range_milli": 4000, "update_norm_milli": 2000},
        }
        return LineGrant.model_validate({**values, **changes})

    def asset(self, department: str, /, **changes: Any) -> AssetRegistration:
        """Return what a department registers of its own: what its card says."""
        card = self.card(department)
        kept = ("region", "dataset", "standard_version", "standard_hash", "people", "columns")
        tier = ("tier", "tier_version", "tier_hash", "allowed_purposes")
        values = {name: getattr(card, name) for name in (*kept, *tier)}
        values |= {"owner": department, "steward": "data_office", "revision": 1, "registered_at": START_S}
        return AssetRegistration.model_validate({**values, **changes})

    def put_asset(self, asset: AssetRegistration, party: str = "", key: bytes | None = None) -> httpx.Response:
        """Send a registration; `party` and `key` replace the owner's."""
        signed = sign_asset(asset, key or self.keys[asset.owner].identity)
        return self.send(party or asset.owner, "PUT", f"/v1/assets/{asset.owner}/{asset.dataset}", signed.to_bytes())

    def register_assets(self, **changes: Any) -> None:
        for department in DEPARTMENTS:
            assert self.put_asset(self.asset(department, **changes)).status_code == 201

    def register_line_assets(self) -> None:
        """Register each department's asset of the line, as if it were of a region of its own."""
        standard = load_dataset_standard(LINE_DATASET)
        shared = {"dataset": LINE_DATASET, "standard_hash": standard.standard_hash(), "columns": COLUMNS["tax"]}
        for number, department in enumerate(DEPARTMENTS):
            assert self.put_asset(self.asset(department, region=f"region-{number}", **shared)).status_code == 201

    def signed(self, grant: Grant | LineGrant, *parties: str, second: bool = False) -> SignedGrant:
        """Return the grant with one signature of each party, all of them by default; `second`: by the second approvers."""
        signatures = []
        for party in parties or ("centre", *DEPARTMENTS):
            role = {"centre": "centre", LEAD: "lead"}.get(party, "owner")
            if party == "centre":
                private = self.second_approval_key if second else self.approval_key
            else:
                private = self.keys[party].second if second else self.keys[party].approval
            signatures.append(sign_grant(grant, party, role, private))
        return SignedGrant(grant=grant, signatures=tuple(signatures))

    def draft(self, grant: Grant | LineGrant, party: str = LEAD) -> httpx.Response:
        return self.send(party, "POST", "/v1/requests", RequestDraft(grant=grant).to_bytes())

    def act(self, party: str, number: int, verb: str, body: Any = None) -> httpx.Response:
        """Submit, withdraw or decide: whatever is posted below a request."""
        return self.send(party, "POST", f"/v1/requests/{number}/{verb}", b"" if body is None else canonical_json(body))

    def request(self, grant: Grant | LineGrant) -> int:
        """Have the lead's node draft and submit a request; return its number."""
        drafted = self.draft(grant)
        assert drafted.status_code == 201, drafted.text
        number = drafted.json()["number"]
        submitted = self.act(LEAD, number, "submit")
        assert submitted.status_code == 200, submitted.text
        return int(number)

    def sign(self, number: int, signed: SignedGrant, party: str) -> httpx.Response:
        """Send signatures as a party's node or as the centre's device."""
        return self.send(party, "PUT", f"/v1/requests/{number}/signatures", signed.to_bytes())

    def sign_all(self, number: int, grant: Grant | LineGrant, *parties: str, second: bool = False) -> dict[str, Any]:
        """Have one person of each party sign; return the request after the last one."""
        answer = None
        for party in parties or (*DEPARTMENTS, "centre"):
            answer = self.sign(number, self.signed(grant, party, second=second), party)
            assert answer.status_code == 201, answer.text
        assert answer is not None
        shown: dict[str, Any] = answer.json()
        return shown

    def show_request(self, number: int, party: str = "centre") -> dict[str, Any]:
        shown: dict[str, Any] = self.send(party, "GET", f"/v1/requests/{number}").json()
        return shown

    def prepare(self) -> None:
        """Register everybody and their assets, and open the project."""
        self.register_all()
        self.open_project()
        self.register_assets()

    def agree(self, **changes: Any) -> Grant:
        """Have a grant asked for and signed by all: it is in force, unless its first day is to come."""
        self.prepare()
        grant = self.grant(**changes)
        expected = "active" if grant.not_before <= self.now else "granted"
        assert self.sign_all(self.request(grant), grant)["state"] == expected
        return grant

    def agree_on_line(self, **changes: Any) -> LineGrant:
        """Have a line's grant asked for, signed by all and in force."""
        self.register_all()
        self.open_project()
        self.register_line_assets()
        grant = self.line_grant(**changes)
        assert self.sign_all(self.request(grant), grant)["state"] == "active"
        return grant

    def revocations(self, party: str, *grants: Grant | LineGrant, number: int = 1, **changes: Any) -> RevocationList:
        """Return a party's list that takes back these grants."""
        revoked = [
            RevokedGrant(
                grant_hash=grant.digest(), reason="misuse", revoked_at=int(self.now), expires_at=grant.expires_at
            )
            for grant in grants
        ]
        values = {"party": party, "number": number, "issued_at": int(self.now), "revoked": revoked}
        return RevocationList.model_validate({**values, **changes})

    def publish(self, content: RevocationList, sender: str = "", key: bytes | None = None) -> httpx.Response:
        """Sign a list with its party's revocation key and send it; `sender` and `key` replace what is right."""
        own = self.revocation_key if content.party == "centre" else self.keys[content.party].revocation
        signed = sign_revocations(content, key or own)
        return self.send(sender or content.party, "PUT", f"/v1/revocations/{content.party}", signed.to_bytes())

    def start_run(self, mode: str = "evidence") -> dict[str, Any]:
        answer = self.send(LEAD, "POST", f"/v1/projects/{PROJECT}/runs", canonical_json({"mode": mode}))
        assert answer.status_code == 201, answer.text
        return answer.json()

    def offer(self, run: dict[str, Any], department: str, /, key: bytes | None = None, **changes: Any) -> KeyOffer:
        values = {
            "grant_hash": run["grant_hash"],
            "run_id": run["run_id"],
            "attempt": run["attempt"],
            "department": department,
            "sealing_key": "11" * 64,
            "mask_key": "22" * 32,
            "people": 2000,
            "program_hash": PROGRAM,
        }
        return KeyOffer.model_validate({**values, **changes}).signed(key or self.keys[department].identity)

    def put_offer(self, run: dict[str, Any], department: str, offer: KeyOffer | None = None) -> httpx.Response:
        document = offer or self.offer(run, department)
        path = f"/v1/runs/{run['run_id']}/offers/{department}"
        return self.send(department, "PUT", path, document.to_bytes())

    def offer_all(self, run: dict[str, Any]) -> list[KeyOffer]:
        for department in DEPARTMENTS:
            assert self.put_offer(run, department).status_code == 201
        answer = self.send(LEAD, "GET", f"/v1/runs/{run['run_id']}/offers").json()
        return [KeyOffer.model_validate(offer) for offer in answer["offers"]]

    def manifest(self, run: dict[str, Any], offers: list[KeyOffer], /, **changes: Any) -> Manifest:
        values = {
            "grant_hash": run["grant_hash"],
            "run_id": run["run_id"],
            "run_number": run["run_number"],
            "attempt": run["attempt"],
            "mode": run["mode"],
            "created_at": START_S,
            "expires_at": START_S + 10_000,
            "offers": offers,
        }
        return Manifest.model_validate({**values, **changes})

    def put_manifest(
        self, run: dict[str, Any], manifest: Manifest, party: str = LEAD, key: bytes | None = None
    ) -> httpx.Response:
        signed: SignedManifest = sign_manifest(manifest, key or self.keys[LEAD].scheduling)
        return self.send(party, "PUT", f"/v1/runs/{run['run_id']}/manifest", signed.to_bytes())

    def schedule(self, run: dict[str, Any]) -> dict[str, Any]:
        answer = self.put_manifest(run, self.manifest(run, self.offer_all(run)))
        assert answer.status_code == 201, answer.text
        return answer.json()

    def scheduled_run(self) -> dict[str, Any]:
        self.agree()
        return self.schedule(self.start_run())


@cache
def documented() -> dict[str, Any]:
    """Return the API's description."""
    return describe_api()


def require_documented(method: str, path: str, answer: httpx.Response) -> None:
    """Raise unless the description names the answer's status, and its code if it is a refusal."""
    address = path.partition("?")[0]
    for template, operations in documented()["paths"].items():
        found = operations.get(method.lower())
        # A path of several parts is called `path`.
        pattern = re.sub(r"\{\w+\}", "[^/]+", template.replace("{path}", ".+"))
        if found and re.fullmatch(pattern, address):
            described = found["responses"].get(str(answer.status_code))
            assert described is not None, f"{method} {template}: status {answer.status_code} is not documented"
            if answer.status_code >= 400:
                codes = described["content"]["application/problem+json"]["examples"]
                code = answer.json()["type"].removeprefix("urn:doudi:")
                assert code in codes, f"{method} {template}: {code} is not documented"
            return


def code_of(answer: httpx.Response) -> str:
    """Return the code of a problem document, after checking that it is one."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert set(document) == {"type", "title", "status", "detail", "next_step"}
    assert document["status"] == answer.status_code
    return json.loads(answer.content)["type"].removeprefix("urn:doudi:")
