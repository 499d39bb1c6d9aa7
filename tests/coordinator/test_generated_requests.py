"""Requests generated from the API's description, by four kinds of principals: no failure, and no answer that it does not name.

The generator (schemathesis) reads the description; requests go out signed or with a token, as real ones do, and bodies are
canonical, so that they reach what is behind the parsing. The seed is fixed: the same requests at every run.
"""

import json
from collections import Counter
from contextlib import suppress

import pytest
import requests
import schemathesis
from coordinator_world import LEAD, PROJECT, documented
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from ledger_hands import Hands
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core import NOT_SET
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from crypto.canonical import canonical_json
from crypto.errors import DoudiError
from policies.contracts.requests import sign_request

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 5
SEED = 20_260_301
ORIGIN = "https://coordinator"
API = schemathesis.openapi.from_dict(documented())
OPERATIONS = [found.ok() for found in API.get_all_operations() if isinstance(found, Ok)]


class Sender:
    """Sends generated cases to a coordinator on which there is something to find."""

    def __init__(self, world, principal):
        run = world.scheduled_run()
        world.start_run()
        hands = Hands(world)
        hands.name_witnesses()
        size = hands.advance()
        self._world = world
        self._party = principal if principal in ("centre", LEAD) else None
        self._role = {"officer": "centre_officer", "auditor": "auditor"}.get(principal)
        self._token = ""
        world.token("tax", "department_it")
        # Names that exist; made-up ones would only ever be unknown.
        self._known = {"project_id": PROJECT, "run_id": run["run_id"], "department": "tax", "number": 1}
        self._known |= {"size": size, "level": "0", "path": f"000.p/{size}"}
        self.answers = Counter()

    def begin(self):
        """Be a new person: the one before may have disabled itself."""
        if self._role:
            self._token = self._world.token("centre", self._role)

    def send(self, case, use_known):
        if use_known:
            for name in case.path_parameters.keys() & self._known.keys():
                case.path_parameters[name] = self._known[name]
        arguments = case.as_transport_kwargs(base_url=ORIGIN)
        if case.body is not NOT_SET and case.media_type == "application/json":
            arguments.pop("json", None)
            arguments["data"] = as_sent(case.body)
        prepared = requests.Request(**{name: arguments[name] for name in arguments if name != "timeout"}).prepare()
        body = prepared.body or b""
        body = body.encode() if isinstance(body, str) else body
        headers = {name: value for name, value in prepared.headers.items() if name != "Content-Length"}
        if self._party:
            private = self._world.api_key if self._party == "centre" else self._world.keys[self._party].identity
            signed = sign_request(private, self._party, prepared.method, prepared.path_url, body, int(self._world.now))
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"} | signed
        else:
            headers = {name: value for name, value in headers.items() if not name.startswith("Doudi-")}
            headers["Authorization"] = f"Bearer {self._token}"
        answer = self._world.raw(prepared.method, prepared.path_url, body, headers)
        self.answers[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)


def as_sent(body):
    try:
        return canonical_json(body)
    except (DoudiError, TypeError, ValueError, RecursionError):
        # What has no canonical form is sent all the same.
        return body if isinstance(body, bytes) else json.dumps(body, default=str).encode()


@pytest.mark.parametrize("principal", ["centre", LEAD, "officer", "auditor"])
def test_no_generated_request_fails_or_is_answered_otherwise_than_described(world, principal):
    sender = Sender(world, principal)

    def run(operation, mode):
        @seed(SEED)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(mode), use_known=st.booleans())
        def check(case, use_known):
            sender.send(case, use_known)

        sender.begin()
        check()

    for operation in OPERATIONS:
        run(operation, GenerationMode.POSITIVE)
        # Where there is neither a parameter nor a body, nothing can be wrong.
        with suppress(Unsatisfiable):
            run(operation, GenerationMode.NEGATIVE)
    # The requests reached what they were for: they were not all turned away at the door.
    assert sender.answers[200] + sender.answers[201] > 30
    assert sender.answers[401] < sum(sender.answers.values()) / 10
