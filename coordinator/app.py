"""The composition root of the coordinator's API: parts are made here and handed over, nothing else makes them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from coordinator import events_api
from coordinator.border import Border
from coordinator.config import CoordinatorConfig
from coordinator.context import AppContext, RegisterFlowerNode
from coordinator.db.session import Clock, open_engine, require_known_schema
from coordinator.events import Event, EventType, record, safe_code
from coordinator.grants import api as grants_api
from coordinator.openapi import describe
from coordinator.parties import api as parties_api
from coordinator.parties.authentication import Caller
from coordinator.parties.services import ensure_centre
from coordinator.problems import problem_response
from coordinator.projects import api as projects_api
from coordinator.runs import api as runs_api
from coordinator.runs.scheduling import fail_overdue
from crypto.errors import DoudiError
from policies.contracts.cards import DepartmentCard
from policies.contracts.grant import SignedGrant
from policies.contracts.manifest import KeyOffer, SignedManifest

HOUSEKEEPING_INTERVAL_S = 5.0
API_VERSION = "1"
_BODIES = (DepartmentCard, projects_api.ProjectRequest, SignedGrant, runs_api.RunRequest, KeyOffer, SignedManifest)
_HTTP_CODES = {404: "request.not_found", 405: "request.method_not_allowed"}

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
    Raises `db.unknown_schema`.
    """
    engine = open_engine(config.resolved_database_url)
    require_known_schema(engine)
    context = AppContext(config, engine, clock, register_flower_node or _no_superlink)
    with context.begin() as session:
        ensure_centre(session, config.centre_api_key)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        housekeeping = asyncio.create_task(_keep_house(context))
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
            engine.dispose()

    # The description is not served: the health check is the only address that answers a stranger.
    app = _DescribedApp(
        title="Doudi coordinator",
        version=API_VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.context = context
    app.add_middleware(Border, max_body_bytes=config.limits.max_body_bytes)
    app.add_exception_handler(DoudiError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_values)
    app.add_exception_handler(HTTPException, _refuse_address)
    app.add_api_route("/v1/health", _health, methods=["GET"], tags=["health"], summary="Say whether the API answers")
    for router in (parties_api.router, projects_api.router, grants_api.router, runs_api.router, events_api.router):
        app.include_router(router)
    return app


class _DescribedApp(FastAPI):
    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = describe(self, _BODIES)
        return self.openapi_schema


def _health() -> Health:
    """Answer without a signature, for load balancers and for `doudi centre status`."""
    return Health(status="ok", api_version=API_VERSION)


def _refuse(request: Request, error: Exception) -> Response:
    """Answer a refusal, and record it if an authenticated party tried to change something."""
    code = error.code if isinstance(error, DoudiError) else "coordinator.unknown_code"
    caller = getattr(request.state, "caller", None)
    if isinstance(caller, Caller) and request.method != "GET":
        context: AppContext = request.app.state.context
        # The act's own transaction was rolled back, so the refusal has one of its own.
        with context.begin() as session:
            record(session, Event(EventType.REQUEST_REFUSED, caller.name, code=safe_code(code)))
    return problem_response(code)


def _refuse_values(_request: Request, _error: Exception) -> Response:
    return problem_response("request.malformed")


def _refuse_address(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return problem_response(_HTTP_CODES.get(status, "request.malformed"))


def _no_superlink(_name: str, _public_key: str) -> None:
    raise DoudiError("flower.unreachable", "no SuperLink is configured", "Start the SuperLink and repeat.")


async def _keep_house(context: AppContext) -> None:
    """End what waits too long, for as long as the API runs."""
    while True:
        await asyncio.sleep(HOUSEKEEPING_INTERVAL_S)
        with suppress(OperationalError):
            # A busy database is tried again at the next turn.
            await asyncio.to_thread(_fail_overdue, context)


def _fail_overdue(context: AppContext) -> None:
    with context.begin() as session:
        failed = fail_overdue(session, context.config.gathering_timeout_s)
    if failed:
        logger.info("%d runs waited too long and were failed", failed)
