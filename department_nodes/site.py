"""What the guard compares grants with, read from the node's own folder at each step."""

from department_nodes.guard import Site
from department_nodes.home import NodeHome
from department_nodes.program import program_hash


def site_of(home: NodeHome) -> Site:
    """Return the department's side of every check; trust is read afresh, so that a withdrawn trust counts at once."""
    keys = home.public_keys
    return Site(
        config=home.config,
        trust=home.trust,
        program_hash=program_hash(),
        identity_key=keys.identity_key,
        approval_key=keys.approval_key,
        scheduling_key=keys.scheduling_key,
    )
