"""The node's configuration and site policy: `node.toml` in the node's home folder. Unknown keys are refused.

The coordinator cannot change anything here: a site policy can only narrow what a grant allows.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from crypto.errors import DoudiError
from policies.contracts.base import Slug
from policies.standards.tier_loader import load_tier

CONFIG_FILE = "node.toml"


class SitePolicy(BaseModel):
    """What this department allows at most, whatever a grant says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_epsilon_milli: Annotated[int, Field(ge=1, le=8000)] = 3000
    max_label_epsilon_milli_per_year: Annotated[int, Field(ge=1)] = 8000
    min_key_holders: Annotated[int, Field(ge=2)] = 3
    min_declared_parties: Annotated[int, Field(ge=2)] = 3
    allow_evidence: bool = True
    allow_sum_only: bool = True
    max_levels: Annotated[int, Field(ge=2, le=32)] = 32
    max_evidence_bits_per_person_and_year: Annotated[int, Field(ge=1)] = 120
    minimum_people_per_level: Annotated[int, Field(ge=10)] = 50
    disclosure_max_share: Annotated[float, Field(gt=0, le=1)] = 0.95
    disclosure_max_rank_correlation: Annotated[float, Field(gt=0, le=1)] = 0.85
    excluded_columns: tuple[str, ...] = ()
    allow_lines: bool = True
    max_line_epsilon_milli: Annotated[int, Field(ge=1)] = 8000
    line_delta_exponent: Annotated[int, Field(ge=5, le=12)] = 6
    min_line_parties: Annotated[int, Field(ge=3)] = 3
    allow_distributed_noise: bool = True
    max_honest_percent: Annotated[int, Field(ge=1, le=100)] = 80
    allow_plain_updates: bool = False
    max_revocation_age_hours: Annotated[int, Field(ge=1, le=24 * 366)] = 24
    max_concurrent_runs: Annotated[int, Field(ge=1, le=64)] = 2
    report_to_centre: bool = True


class NodeConfig(BaseModel):
    """One node. Paths are relative to the node's home folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Annotated[int, Field(ge=1, le=1)] = 1
    department: Slug
    region: Slug
    dataset: Slug
    standard_version: Annotated[int, Field(ge=1)] = 1
    tier: Slug
    tier_version: Annotated[int, Field(ge=1)] = 1
    steward: Slug = "data-steward"
    allowed_purposes: tuple[Slug, ...]
    extract: str
    coordinator_url: Annotated[str, StringConstraints(pattern=r"^https://[^/\s]+$")]
    superlink_address: Annotated[str, StringConstraints(pattern=r"^[^/\s]+:[0-9]{1,5}$")]
    ca_file: str = "ca.crt"
    worker_port: Annotated[int, Field(ge=1024, le=65535)] = 19091
    held_out_seed: Annotated[
        str, Field(max_length=64, description="lead: fixes which households are held out; empty = secret")
    ] = ""
    poll_interval_s: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    witness_timeout_s: Annotated[float, Field(ge=1, le=600)] = 60.0
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    policy: SitePolicy = SitePolicy()


def load_config(home: Path) -> NodeConfig:
    """Return the configuration in a home folder. Raises `config.missing` or `config.invalid`."""
    path = home / CONFIG_FILE
    if not path.is_file():
        raise DoudiError("config.missing", f"{path.name} is not in the node's folder", "Run `doudi node init` first.")
    try:
        return NodeConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise DoudiError("config.invalid", f"{CONFIG_FILE} is not TOML: {error}", "Correct the file.") from None
    except (OSError, UnicodeDecodeError):
        raise DoudiError("config.invalid", f"{CONFIG_FILE} cannot be read as UTF-8", "Correct the file.") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DoudiError("config.invalid", f"{CONFIG_FILE}: {where}: {first['msg']}", "Correct the file.") from None


@dataclass(frozen=True)
class Limit:
    """One limit of `[policy]` beside the rule of the asset's tier: the stricter of the two is in force."""

    name: str
    site: int
    tier: int
    in_force: int

    @property
    def decided_by(self) -> Literal["site", "tier", "both"]:
        """Which of the two is in force."""
        if self.site == self.tier:
            return "both"
        return "site" if self.in_force == self.site else "tier"


def limits_in_force(config: NodeConfig) -> tuple[Limit, ...]:
    """Return every limit that both the site's policy and the asset's tier set; yes and no are `bool`.

    `config`: as it stands in node.toml. Raises `standard.unknown_tier` for a tier that is not installed here.
    """
    policy, tier = config.policy, load_tier(config.tier, config.tier_version)
    # A tier that allows none of an operation has a limit of zero; the operation itself is refused by the tier's rules.
    largest = {
        "max_epsilon_milli": max(tier.maximum_label_epsilon_milli, 1),
        "max_label_epsilon_milli_per_year": max(tier.maximum_label_epsilon_milli_per_year, 1),
        "max_evidence_bits_per_person_and_year": max(tier.maximum_evidence_bits_per_person_and_year, 1),
        "max_line_epsilon_milli": max(tier.maximum_line_epsilon_milli, 1),
        "allow_evidence": "evidence" in tier.operations,
        "allow_sum_only": "sum_only" in tier.operations,
        "allow_lines": "line" in tier.operations,
    }
    limits = [_limit(policy, name, rule, min) for name, rule in largest.items()]
    return (*limits, _limit(policy, "min_declared_parties", tier.minimum_parties, max))


def narrowed_by_tier(config: NodeConfig) -> NodeConfig:
    """Return the configuration with every limit of the site that is wider than the asset's tier replaced by the tier's.

    Raises `standard.unknown_tier` for a tier that is not installed here.
    """
    narrowed = {limit.name: limit.in_force for limit in limits_in_force(config)}
    return config.model_copy(update={"policy": config.policy.model_copy(update=narrowed)})


def _limit(policy: SitePolicy, name: str, tier: int, stricter: Callable[[int, int], int]) -> Limit:
    site: int = getattr(policy, name)
    return Limit(name, site, tier, stricter(site, tier))


def write_config(home: Path, config: NodeConfig) -> None:
    """Write the configuration as TOML."""
    lines = ["# Doudi node. `policy` narrows every grant; the coordinator cannot change it."]
    values = config.model_dump(mode="json")
    policy = values.pop("policy")
    lines += [f"{name} = {_toml(value)}" for name, value in values.items()]
    lines += ["", "[policy]"] + [f"{name} = {_toml(value)}" for name, value in policy.items()]
    (home / CONFIG_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
