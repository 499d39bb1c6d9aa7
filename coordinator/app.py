"""The composition root of the coordinator's API: parts are made here and handed over, nothing else makes them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError
from starlette.types import Lifespan

from coordinator.accounts import api as accounts_api
from coordinator.accounts.parts import open_parts
from coordinator.authorization import api as authorization_api
from coordinator.authorization.rules_in_force import RulesInForce
from coordinator.border import Border
from coordinator.catalogue import api as catalogue_api
from coordinator.config import CoordinatorConfig
from coordinator.console.mounting import mount_console, refusal
from coordinator.context import AppContext, RegisterFlowerNode
from coordinator.db.session import Clock, open_engine, require_known_schema
from coordinator.grants import api as grants_api
from coordinator.idempotency import KeysAtWork
from coordinator.ledger import api as ledger_api
from coordinator.ledger import keeping_api, log_api
from coordinator.ledger.parts import open_ledger
from coordinator.ledger.timestamping import Timestamper
from coordinator.openapi import describe, operation_id
from coordinator.parties import api as parties_api
from coordinator.parties.authentication import Authenticated
from coordinator.parties.request_bound import RequestBound
from coordinator.parties.services import ensure_centre
from coordinator.projects import api as projects_api
from coordinator.refusals import answer_refusals
from coordinator.reports import api as reports_api
from coordinator.requests import api as requests_api
from coordinator.requests.progress import advance_all
from coordinator.revocations import api as revocations_api
from coordinator.runs import api as runs_api
from coordinator.runs import queue_api
from coordinator.runs.scheduling import fail_overdue
from crypto.errors import DoudiError
from policies.contracts.ledger.batches import MAXIMUM_BATCH_BYTES

HOUSEKEEPING_INTERVAL_S = 5.0
API_VERSION = "1"
_ROUTERS = (
    accounts_api.router,
    parties_api.router,
    projects_api.router,
    catalogue_api.router,
    requests_api.router,
    grants_api.router,
    revocations_api.router,
    runs_api.router,
    queue_api.router,
    reports_api.router,
    ledger_api.router,
    keeping_api.router,
    log_api.router,
    authorization_api.router,
)
# One address takes more than the common bound: a batch of a node that was cut off for long.
_LARGER_BODIES = {("POST", ledger_api.BATCHES_PATH): MAXIMUM_BATCH_BYTES}

logger = logging.getLogger(__name__)


class SupervisorLike(Protocol):
    """What starts the child process of each scheduled run (`coordinator.runs.supervisor.Supervisor`)."""

    def start(self) -> None:
        """Begin to look for scheduled runs; returns at once."""

    def stop(self) -> None:
        """End the children that it started; returns when they have ended."""


class Health(BaseModel):
    """The answer of the health check: nothing that a stranger could use."""

    status: str
    api_version: str


def create_app(
    config: CoordinatorConfig,
    *,
    clock: Clock = time.time,
    supervisor: SupervisorLike | None = None,
    register_flower_node: RegisterFlowerNode | None = None,
) -> FastAPI:
    """Return the API over a database whose schema is this program's.

    `register_flower_node`: without it no department can be registered (`flower.unreachable`).
    Raises `db.unknown_schema`, `policy.not_loadable`, or what `open_ledger` raises.
    """
    engine = open_engine(config.resolved_database_url)
    require_known_schema(engine)
    accounts = open_parts(config.home, config.accounts, config.oidc, engine)
    rules = RulesInForce()
    # Half of the connections at most wait for the log, so that nodes that wait never keep anybody from working.
    most_waiting = config.limits.max_connections // 2
    ledger = open_ledger(engine, clock, config.home, config.ledger, config.centre_keys, most_waiting)
    context = AppContext(config, engine, clock, register_flower_node or _no_superlink, accounts, ledger, rules)
    with context.begin() as session:
        ensure_centre(session, config.centre_api_key)
        # Rules that cannot be used would deny every act; who starts the program should learn it and not the first caller.
        rules.engine(session)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        stamper = Timestamper(engine, config.home, config.ledger, clock)
        housekeeping = asyncio.create_task(_keep_house(context, stamper))
        ledger.thread.start()
        if supervisor is not None:
            supervisor.start()
        try:
            yield
        finally:
            if supervisor is not None:
                await asyncio.to_thread(supervisor.stop)
            housekeeping.cancel()
            with suppress(asyncio.CancelledError):
                await housekeeping
            await asyncio.to_thread(ledger.thread.stop)
            accounts.close()
            engine.dispose()

    app = _bare_app(lifespan)
    app.state.context = context
    app.state.keys_at_work = KeysAtWork()
    app.state.request_bound = RequestBound(config.limits.max_requests_per_minute)
    app.add_middleware(Border, max_body_bytes=config.limits.max_body_bytes, refusal=refusal, larger=_LARGER_BODIES)
    answer_refusals(app, refusal)
    _add_api(app)
    mount_console(app)
    # The framework builds its table of routes at the first request, and two threads that build it at once lose addresses.
    list(iter_route_contexts(app.routes))
    return app


def describe_api() -> dict[str, Any]:
    """Return the OpenAPI document of this program's API. Needs no configuration and no database."""
    app = _bare_app()
    _add_api(app)
    return app.openapi()


class _DescribedApp(FastAPI):
    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = describe(self)
        return self.openapi_schema


def _bare_app(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    # The framework would serve its description and pages to strangers; ours is served to principals, below.
    return _DescribedApp(
        title="Doudi coordinator",
        version=API_VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # An address with another end is another address: a signature covers one of them.
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
        lifespan=lifespan,
    )


def _add_api(app: FastAPI) -> None:
    app.add_api_route("/v1/health", _health, name="get_health", tags=["health"], summary="Say whether the API answers")
    app.add_api_route(
        "/v1/openapi.json",
        _description,
        name="get_description",
        tags=["description"],
        summary="Read this description",
        response_model=dict[str, Any],
    )
    for router in _ROUTERS:
        app.include_router(router)


def _health() -> Health:
    """Answer without a signature, for load balancers and for `doudi centre status`."""
    return Health(status="ok", api_version=API_VERSION)


def _description(request: Request, principal: Authenticated) -> Response:
    """Return the API's description (OpenAPI 3.1) to any authenticated principal."""
    # The framework writes whole numbers of the schemas as floats, which canonical JSON has not.
    return JSONResponse(request.app.openapi())


def _no_superlink(_name: str, _public_key: str) -> None:
    raise DoudiError("flower.unreachable", "no SuperLink is configured", "Start the SuperLink and repeat.")


async def _keep_house(context: AppContext, stamper: Timestamper) -> None:
    """End what waits too long, for as long as the API runs."""
    while True:
        await asyncio.sleep(HOUSEKEEPING_INTERVAL_S)
        with suppress(OperationalError):
            # A busy database is tried again at the next turn.
            await asyncio.to_thread(_end_overdue, context)
            await asyncio.to_thread(stamper.stamp_if_due)


def _end_overdue(context: AppContext) -> None:
    with context.begin() as session:
        failed = fail_overdue(session, context.config.gathering_timeout_s)
        moved = advance_all(session)
    if failed:
        logger.info("%d runs waited too long and were failed", failed)
    if moved:
        logger.info("%d requests changed their state by time or by their runs", moved)
