"""What a request handler needs, made once in `app.create_app` and handed over through the application's state."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from coordinator.accounts.parts import AccountParts
from coordinator.authorization.rules_in_force import RulesInForce
from coordinator.config import CoordinatorConfig
from coordinator.db.session import Clock, begin, read
from coordinator.ledger.parts import Ledger

# Registers a node at the SuperLink: (name, OpenSSH public key). Doing it twice with the same key changes nothing; it
# raises `DoudiError` when the SuperLink does not answer.
RegisterFlowerNode = Callable[[str, str], None]


@dataclass(frozen=True)
class AppContext:
    """The application's parts."""

    config: CoordinatorConfig
    engine: Engine
    clock: Clock
    register_flower_node: RegisterFlowerNode
    accounts: AccountParts
    ledger: Ledger
    rules: RulesInForce = field(default_factory=RulesInForce)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Open a writing transaction. What it recorded is placed soon after it ended."""
        with begin(self.engine, self.clock) as session:
            yield session
        self.ledger.notify()

    def read(self) -> AbstractContextManager[Session]:
        """Open a reading transaction."""
        return read(self.engine, self.clock)


def get_context(request: Request) -> AppContext:
    """Return the application's parts, for handlers."""
    context: AppContext = request.app.state.context
    return context


Context = Annotated[AppContext, Depends(get_context)]
