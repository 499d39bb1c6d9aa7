"""What is refused about accounts, sign-in and API tokens: one line per code."""

from collections.abc import Mapping

from coordinator.accounts.attempts import WINDOW_S
from coordinator.problem_types import Problem

_BUSY_S = 2
_PROVIDER_S = 30
_AGAIN = "Begin the sign-in again."

PROBLEMS: Mapping[str, Problem] = {
    # Accounts
    "account.unknown": Problem(404, "Unknown account", "There is no such account.", "List the accounts."),
    "account.not_a_person": Problem(
        403, "Not a person", "Only a person's account has tokens.", "Use a token of your account."
    ),
    "account.bad_login_name": Problem(
        422,
        "Unusable login name",
        "A login name has 3 to 63 small letters, digits, dots, dashes and underscores, and begins with a letter.",
        "Choose another name.",
    ),
    "account.name_in_use": Problem(
        409, "Name in use", "An account has or had this login name.", "Choose another name."
    ),
    "account.unknown_role": Problem(422, "Unknown role", "An account needs at least one known role.", "See the roles."),
    "account.role_of_other_party": Problem(
        422, "Role of another party", "A role does not belong to this kind of party.", "Choose roles of this party."
    ),
    "account.roles_not_segregated": Problem(
        422,
        "Duties not separated",
        "One person must not have these roles together.",
        "Give one of the roles to another person.",
    ),
    "account.disabled": Problem(409, "Account ended", "The account has ended for good.", "Make a new account."),
    "account.bad_subject": Problem(
        422, "Unusable subject", "The subject is malformed, or there is no identity provider.", "See the configuration."
    ),
    "account.subject_in_use": Problem(
        409, "Subject in use", "Another account belongs to this person.", "Use that account."
    ),
    "account.signs_in_elsewhere": Problem(
        409, "Signs in elsewhere", "The identity provider signs this account in.", "Change the factors there."
    ),
    # Enrolment
    "account.bad_enrolment_code": Problem(
        403, "Code not accepted", "The code is unknown, used or expired.", "Ask the centre for a new one."
    ),
    "account.weak_password": Problem(
        422,
        "Weak password",
        "A password has at least 12 characters, 5 of them different, and does not contain the login name.",
        "Choose another one, for example five words.",
    ),
    "account.bad_totp_secret": Problem(
        422, "Malformed secret", "The secret of the second factor is malformed.", "Open the enrolment page again."
    ),
    "account.wrong_totp_code": Problem(
        422, "Wrong code", "The code is not the one that the app shows.", "Check the phone's clock; type the next code."
    ),
    # Sign-in
    "account.sign_in_refused": Problem(
        403,
        "Sign-in refused",
        "Name, password or code are not right, or the account is locked.",
        "Try again; after five failures wait 15 minutes.",
    ),
    "account.sign_in_expired": Problem(403, "Sign-in expired", "No sign-in waits for a second factor.", _AGAIN),
    "account.too_many_attempts": Problem(
        429, "Too many attempts", "Too many attempts failed.", "Wait and try again.", WINDOW_S
    ),
    "account.busy": Problem(503, "Busy", "Too many sign-ins are being checked.", "Try again in a moment.", _BUSY_S),
    "account.unknown_language": Problem(
        422, "Unknown language", "There are no pages in this language.", "Use zh or en."
    ),
    # Identity provider
    "account.oidc_refused": Problem(
        403, "Sign-in refused", "The identity provider's answer was not accepted, or no account belongs to it.", _AGAIN
    ),
    "account.second_factor_missing": Problem(
        403,
        "Second factor missing",
        "The identity provider does not say that it saw two factors.",
        "Sign in there with a second factor.",
    ),
    "oidc.not_configured": Problem(
        404, "No identity provider", "There is no identity provider.", "Sign in with a password."
    ),
    "oidc.unreachable": Problem(
        503, "Identity provider unavailable", "The identity provider does not answer.", "Try again later.", _PROVIDER_S
    ),
    "oidc.bad_answer": Problem(
        502,
        "Identity provider failed",
        "The identity provider's answer is unusable.",
        "Tell the coordinator's operator.",
    ),
    # API tokens
    "token.unknown": Problem(404, "Unknown token", "The account has no such token.", "List the tokens."),
    "token.bad_scopes": Problem(422, "Unusable scopes", "A token may read, or read and write.", "Choose one of these."),
    "token.bad_expiry": Problem(422, "Unusable lifetime", "A token lives 1 to 90 days.", "Choose fewer days."),
    "token.bad_label": Problem(
        422, "Unusable label", "A label has small letters, digits, dashes and underscores.", "Choose another label."
    ),
    "token.too_many": Problem(409, "Too many tokens", "The account has too many tokens in force.", "Revoke one."),
    "token.needs_session": Problem(
        403, "Needs a sign-in", "A token cannot make a token for this account.", "Make it in the console."
    ),
}
