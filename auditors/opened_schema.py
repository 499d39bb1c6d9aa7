"""The tables of `opened.db`. A change raises FORMAT_VERSION: the file is deleted then and opened again, never migrated."""

FORMAT_VERSION = 1

SCHEMA = (
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # Every batch below the size, in the order of the log. `has_wraps`: 0 once they were destroyed.
    """CREATE TABLE batches (first_index INTEGER PRIMARY KEY, count INTEGER NOT NULL, batch_id BLOB NOT NULL,
       producer TEXT NOT NULL, signer BLOB NOT NULL, first_sequence INTEGER NOT NULL, has_wraps INTEGER NOT NULL,
       state TEXT NOT NULL)""",
    "CREATE INDEX batches_by_id ON batches (batch_id)",
    # Up to `fault` from the header, which needs no key; the rest is NULL unless `opened`, and where the record does not say it.
    # `number`: index in the log, from 0. `actor`: where it is not the producer. `about`: the account that the act is about.
    """CREATE TABLE records (number INTEGER PRIMARY KEY, batch INTEGER NOT NULL, at INTEGER NOT NULL, type TEXT NOT NULL,
       producer TEXT NOT NULL, sequence INTEGER NOT NULL, grant_hash BLOB, fault TEXT, opened INTEGER NOT NULL, actor TEXT,
       account INTEGER, subject TEXT, project TEXT, run TEXT, step TEXT, purpose TEXT, code TEXT, about INTEGER, body TEXT)""",
    "CREATE TABLE record_assets (asset TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (asset, number)) WITHOUT ROWID",
    # What acts that name no purpose and no asset themselves are traced to: run to grant, grant to purpose and assets.
    "CREATE TABLE runs (run TEXT PRIMARY KEY, grant_hash BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE grants (grant_hash BLOB PRIMARY KEY, project TEXT, purpose TEXT, asker TEXT)
       WITHOUT ROWID""",
    """CREATE TABLE grant_assets (grant_hash BLOB NOT NULL, asset TEXT NOT NULL, PRIMARY KEY (grant_hash, asset))
       WITHOUT ROWID""",
    "CREATE INDEX grant_assets_by_asset ON grant_assets (asset)",
    # Each purpose that somebody recorded for a grant: more than one is a finding.
    """CREATE TABLE grant_purposes (grant_hash BLOB NOT NULL, purpose TEXT NOT NULL, producer TEXT NOT NULL,
       number INTEGER NOT NULL, PRIMARY KEY (grant_hash, purpose)) WITHOUT ROWID""",
    "CREATE TABLE projects (project TEXT PRIMARY KEY, purpose TEXT NOT NULL) WITHOUT ROWID",
    # Of every grant its own purpose, else that of its project; and what runs are traced to.
    """CREATE VIEW purposes AS SELECT g.grant_hash, coalesce(g.purpose, p.purpose) AS purpose
       FROM grants g LEFT JOIN projects p ON p.project = g.project""",
    """CREATE VIEW run_purposes AS SELECT r.run, p.purpose FROM runs r JOIN purposes p ON p.grant_hash = r.grant_hash""",
    """CREATE VIEW run_assets AS SELECT r.run, a.asset FROM runs r JOIN grant_assets a ON a.grant_hash = r.grant_hash""",
    """CREATE TABLE added_wraps (batch BLOB NOT NULL, receiver TEXT NOT NULL, wrap BLOB NOT NULL, number INTEGER NOT NULL,
       PRIMARY KEY (batch, receiver, wrap)) WITHOUT ROWID""",
)

# By name. Only rows that say something stand in an index. They are dropped before a large portion of entries and made again
# after it, which is faster; without them every question has the same answer.
INDICES = {
    "records_at": "ON records (at)",
    "records_type": "ON records (type)",
    "records_producer": "ON records (producer)",
    "records_actor": "ON records (actor) WHERE actor IS NOT NULL",
    "records_subject": "ON records (subject) WHERE subject IS NOT NULL",
    "records_account": "ON records (account) WHERE account IS NOT NULL",
    "records_about": "ON records (about) WHERE about IS NOT NULL",
    "records_run": "ON records (run) WHERE run IS NOT NULL",
    "records_grant": "ON records (grant_hash) WHERE grant_hash IS NOT NULL",
    "records_purpose": "ON records (purpose) WHERE purpose IS NOT NULL",
    "records_fault": "ON records (fault) WHERE fault IS NOT NULL",
}
