"""What the guard asks of a line's grant beyond the clauses of every grant: its model, its privacy, this site's limits. Pure."""

from collections.abc import Iterator, Mapping

from crypto.errors import DoudiError
from department_nodes.config import NodeConfig
from policies.contracts.cards import DepartmentCard
from policies.contracts.line_grant import LineGrant
from policies.standards.model_loader import load_model_standard


def line_refusals(grant: LineGrant, config: NodeConfig, cards: Mapping[str, DepartmentCard]) -> Iterator[DoudiError]:
    """Yield every clause of a line that fails, in this order; nothing for a grant that this node accepts.

    1. The model is a published one that is installed here. 2. Each participant's region and data standard are those on its
    card. 3. The site policy allows the line: parties, δ, placement of the noise, honest share, method.
    """
    training = grant.training
    try:
        model_hash = load_model_standard(training.model, training.model_version).standard_hash()  # 1
    except DoudiError as error:
        yield error
    else:
        if model_hash != training.model_hash:
            yield DoudiError(
                "grant.wrong_model",
                "the grant names another line model than the one installed here",
                "Install that version.",
            )
    regions = {name: card.region for name, card in cards.items()} | {config.department: config.region}
    for participant in grant.participants:  # 2
        # Of a department whose card is not pinned nothing is known: that it is not pinned is another clause's refusal.
        if participant.region != regions.get(participant.department, participant.region):
            yield DoudiError(
                "grant.wrong_region", f"the grant gives {participant.department} another region than its card does"
            )
    policy = config.policy  # 3
    refusals = [
        (not policy.allow_lines, "policy.lines", "the site takes no part in lines"),
        (
            grant.aggregation.min_survivors < policy.min_line_parties,
            "policy.line_parties",
            "the grant accepts sums over fewer parties than the site does",
        ),
        (
            training.delta_exponent < policy.line_delta_exponent,
            "policy.line_delta",
            "the grant's δ is above the site's",
        ),
        (
            training.placement == "distributed" and not policy.allow_distributed_noise,
            "policy.distributed_noise",
            "the site does not rely on the others' noise",
        ),
        (
            training.placement == "distributed" and training.honest_percent > policy.max_honest_percent,
            "policy.honest_percent",
            "the grant assumes more honest parties than the site does",
        ),
        (
            grant.aggregation.method != "secure" and not policy.allow_plain_updates,
            "policy.plain_updates",
            "the site sends masked updates only",
        ),
    ]
    for refused, code, message in refusals:
        if refused:
            yield DoudiError(code, message, "See [policy] in node.toml; only this department changes it.")
