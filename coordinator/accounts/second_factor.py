"""Checking a second factor: a code of the authenticator app, or a recovery code. Each counts once.

Called within a transaction that the caller opens, after the attempt was counted (`attempts.count_failure`).
"""

from sqlalchemy import delete
from sqlalchemy.orm import Session

from coordinator.accounts.keys import AccountKeys
from coordinator.accounts.models import AccountRow, RecoveryCodeRow
from coordinator.accounts.records import oneself, record_act
from coordinator.accounts.secret_codes import code_hash, new_code
from coordinator.accounts.totp import matching_step
from coordinator.db.session import now_s
from coordinator.events import EventType

RECOVERY_CODES = 10


def spend_code(session: Session, keys: AccountKeys, account: AccountRow, code: str) -> bool:
    """Return whether this is a second factor of the account, and make it worthless for the next time."""
    if account.totp_sealed is None:
        return False
    secret = keys.open_totp(account.number, account.totp_sealed)
    step = matching_step(secret, code, now_s(session), account.totp_last_step)
    if step is not None:
        account.totp_last_step = step
        return True
    row = session.get(RecoveryCodeRow, (account.number, code_hash(code)))
    if row is None:
        return False
    session.delete(row)
    record_act(session, EventType.ACCOUNT_RECOVERY_CODE_USED, oneself(account), account)
    return True


def replace_recovery_codes(session: Session, account: AccountRow) -> tuple[str, ...]:
    """Return ten new recovery codes, which are shown this once. Earlier ones are void."""
    forget_recovery_codes(session, account)
    codes = tuple(new_code() for _ in range(RECOVERY_CODES))
    session.add_all(RecoveryCodeRow(account=account.number, code_hash=code_hash(code)) for code in codes)
    session.flush()
    return codes


def forget_recovery_codes(session: Session, account: AccountRow) -> None:
    """Make an account's recovery codes void."""
    session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.account == account.number))
