"""The section `[ledger]` of the coordinator's configuration."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class LedgerSettings(BaseModel):
    """Files are relative to the home folder. `witness_timeout_s`: how long a run waits until its intent is witnessed.

    `republish_after_s`: how long a checkpoint may lack its cosignatures before a newer one is published beside it.
    `timestamp_authority_url`: an RFC 3161 authority; empty: no time stamps.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    log_key_file: str = "ledger/log.key"
    terms_file: str = "ledger/terms.json"
    witness_timeout_s: Annotated[int, Field(ge=1, le=3600)] = 60
    republish_after_s: Annotated[int, Field(ge=1, le=3600)] = 2
    timestamp_authority_url: Annotated[str, Field(pattern=r"^(https?://[^\s]{1,500})?$")] = ""
    timestamp_certificates_file: str = ""
    timestamp_every_s: Annotated[int, Field(ge=60, le=365 * 86_400)] = 86_400
