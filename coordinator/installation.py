"""Setting up a coordinator: its home folder, and the officer's folder with the keys that must not lie on its host.

The officer's folder belongs on the officer's own device: whoever takes the coordinator's host must not
find there what approves grants, acts as the centre or issues certificates.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coordinator.accounts.keys import new_account_key
from coordinator.config import CONFIG_FILE, LOOPBACK, CoordinatorConfig, parse_config, write_config
from coordinator.db.session import begin, open_engine, upgrade
from coordinator.ledger.founding import found_ledger, import_founding_terms, new_origin
from coordinator.ledger.founding_auditor import make_founding_auditor
from coordinator.private_files import make_folder, write_private
from coordinator.tls import issue_certificates
from crypto.errors import DoudiError
from crypto.signing import generate_signing_key, signing_public_key
from policies.contracts.cards import CentreCard
from policies.contracts.ledger.terms import AuditorCard

CENTRE_CARD_FILE = "centre-card.json"
CA_FILE = "ca.crt"
CA_KEY_FILE = "ca.key"
API_KEY_FILE = "api.key"
APPROVAL_KEY_FILE = "approval.key"
REVOCATION_KEY_FILE = "revocation.key"


@dataclass(frozen=True)
class Installation:
    """What an officer chooses. `hosts`: names and addresses in the certificate; the first one is published."""

    home: Path
    officer_home: Path
    hosts: Sequence[str]
    listen: str
    api_port: int
    fleet_port: int
    superlink_api_port: int
    step_timeout_s: int
    further_approvers: int = 0
    # Who can open the ledger from its first record on; without one, keys for it are made in the officer's folder.
    auditors: Sequence[AuditorCard] = ()


def install(chosen: Installation, now_s: int) -> CoordinatorConfig:
    """Create both folders and the database; return the configuration. The configuration file is written last.

    Raises `install.exists`, `install.same_folder`, `config.bad_host` or `config.invalid`. After a crash in between, choose
    new folders: a key that is already there is never overwritten.
    """
    home, officer = chosen.home.absolute(), chosen.officer_home.absolute()
    if home == officer or home in officer.parents or officer in home.parents:
        raise DoudiError(
            "install.same_folder",
            "the officer's folder must not lie in the coordinator's home, nor the other way round",
            "Choose a folder on the officer's own device.",
        )
    if (home / CONFIG_FILE).exists() or (officer / APPROVAL_KEY_FILE).exists():
        raise DoudiError("install.exists", "one of the folders is in use already", "Choose empty folders.")
    certificates = issue_certificates([*chosen.hosts, LOOPBACK, "localhost"], now_s)
    approval_key, api_key, revocation_key = (generate_signing_key() for _ in range(3))
    co_approval_keys = [generate_signing_key() for _ in range(chosen.further_approvers)]
    url, superlink = (f"{_bracketed(chosen.hosts[0])}:{port}" for port in (chosen.api_port, chosen.fleet_port))
    config = parse_config(
        {
            "api_host": chosen.listen,
            "api_port": chosen.api_port,
            "public_url": f"https://{url}",
            "fleet_host": chosen.listen,
            "fleet_port": chosen.fleet_port,
            "superlink_api_port": chosen.superlink_api_port,
            "step_timeout_s": chosen.step_timeout_s,
            "centre_api_key": signing_public_key(api_key).hex(),
            "centre_approval_key": signing_public_key(approval_key).hex(),
            "centre_co_approval_keys": [signing_public_key(key).hex() for key in co_approval_keys],
            "centre_revocation_key": signing_public_key(revocation_key).hex(),
        },
        home,
    )
    card = CentreCard(
        approval_key=config.centre_approval_key,
        co_approval_keys=config.centre_co_approval_keys,
        revocation_key=config.centre_revocation_key,
        api_key=config.centre_api_key,
        url=config.public_url,
        superlink=superlink,
    ).to_bytes()

    make_folder(officer)
    write_private(officer / APPROVAL_KEY_FILE, approval_key.hex().encode())
    for number, key in enumerate(co_approval_keys, start=2):
        # One folder for each further approver, to be carried to that person's own device.
        folder = officer / f"approver-{number}"
        make_folder(folder)
        write_private(folder / APPROVAL_KEY_FILE, key.hex().encode())
    write_private(officer / API_KEY_FILE, api_key.hex().encode())
    write_private(officer / REVOCATION_KEY_FILE, revocation_key.hex().encode())
    write_private(officer / CA_KEY_FILE, certificates.authority_key)
    write_private(officer / CA_FILE, certificates.authority)
    write_private(officer / CENTRE_CARD_FILE, card)
    auditors = tuple(chosen.auditors) or (make_founding_auditor(officer),)

    make_folder(home)
    for name in (config.tls_certificate_file, config.tls_key_file, config.tls_ca_file):
        make_folder(config.path(name).parent)
    write_private(config.path(config.tls_certificate_file), certificates.server)
    write_private(config.path(config.tls_key_file), certificates.server_key)
    write_private(config.path(config.tls_ca_file), certificates.authority)
    write_private(config.path(config.superexec_secret_file), secrets.token_hex(32).encode())
    write_private(config.path(config.accounts.key_file), new_account_key())
    write_private(home / CENTRE_CARD_FILE, card)
    make_folder(config.path(config.runs_folder))
    origin = new_origin(_bracketed(chosen.hosts[0]), chosen.api_port)
    found_ledger(home, config.ledger, approval_key, auditors, origin, now_s)
    engine = open_engine(config.resolved_database_url)
    upgrade(engine)
    with begin(engine, lambda: now_s) as session:
        import_founding_terms(session, home, config.ledger, config.centre_keys)
    engine.dispose()
    write_config(config, home)
    return config


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
