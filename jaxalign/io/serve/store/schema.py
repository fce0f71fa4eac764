"""The tables. Both databases have the same, but for the words of their types.

Every table with a column ``tenant`` is closed to transactions of other tenants in PostgreSQL. The tables are not
partitioned by tenant: ids would then need the tenant in every key, and a search would merge one index per part.
"""

import string
from collections.abc import Mapping

FORMAT = 1
"""What the tables look like; a store of another format is refused."""

TABLES = (
    "tenants users partitions embedders examples vectors feed interactions shown feedback policies leases flights "
    "traffic"
).split()
BY_TENANT = "users partitions examples vectors interactions shown feedback flights traffic".split()
"""Tables whose rows belong to a tenant, by their column ``tenant``."""

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE tenants (id $serial, name TEXT NOT NULL UNIQUE);
CREATE TABLE users (
  id $serial, tenant BIGINT NOT NULL REFERENCES tenants, name TEXT NOT NULL, UNIQUE (tenant, name)
);
CREATE TABLE partitions (id $serial, tenant BIGINT NOT NULL, scope TEXT NOT NULL, UNIQUE (tenant, scope));
CREATE TABLE embedders (
  id $serial, name TEXT NOT NULL UNIQUE, width BIGINT NOT NULL, used DOUBLE PRECISION NOT NULL
);
CREATE TABLE examples (
  id $serial, tenant BIGINT NOT NULL, partition_id BIGINT NOT NULL REFERENCES partitions,
  user_id BIGINT NOT NULL REFERENCES users, request TEXT NOT NULL, response TEXT NOT NULL, model TEXT NOT NULL,
  tokens BIGINT NOT NULL, quality DOUBLE PRECISION NOT NULL, cost DOUBLE PRECISION NOT NULL,
  gain DOUBLE PRECISION NOT NULL, offloads DOUBLE PRECISION NOT NULL, updated DOUBLE PRECISION NOT NULL,
  replays BIGINT NOT NULL, created DOUBLE PRECISION NOT NULL
);
CREATE INDEX examples_user ON examples (user_id);
CREATE TABLE vectors (
  example BIGINT NOT NULL REFERENCES examples ON DELETE CASCADE, embedder BIGINT NOT NULL REFERENCES embedders,
  tenant BIGINT NOT NULL, partition_id BIGINT NOT NULL, request $vector NOT NULL, response $vector NOT NULL,
  PRIMARY KEY (example, embedder)
);
CREATE INDEX vectors_partition ON vectors (embedder, partition_id);
CREATE TABLE feed (seq $serial, kind TEXT NOT NULL, subject BIGINT NOT NULL, created DOUBLE PRECISION NOT NULL);
CREATE TABLE interactions (
  id TEXT PRIMARY KEY, tenant BIGINT NOT NULL, user_id BIGINT NOT NULL REFERENCES users, partition_id BIGINT NOT NULL,
  model TEXT NOT NULL, request TEXT, response TEXT, examples TEXT NOT NULL, owners TEXT NOT NULL,
  context $blob NOT NULL, query $blob NOT NULL, embedder TEXT NOT NULL, policy TEXT NOT NULL,
  propensity DOUBLE PRECISION NOT NULL, threshold BIGINT NOT NULL, opponent TEXT, probes TEXT NOT NULL,
  cost DOUBLE PRECISION NOT NULL, created DOUBLE PRECISION NOT NULL, pending BIGINT NOT NULL
);
CREATE INDEX interactions_created ON interactions (created);
CREATE INDEX interactions_pending ON interactions (created) WHERE pending = 1;
CREATE INDEX interactions_user ON interactions (user_id);
CREATE TABLE shown (
  interaction TEXT NOT NULL REFERENCES interactions ON DELETE CASCADE, user_id BIGINT NOT NULL REFERENCES users,
  tenant BIGINT NOT NULL, PRIMARY KEY (interaction, user_id)
);
CREATE INDEX shown_user ON shown (user_id);
CREATE TABLE feedback (
  seq $serial, interaction TEXT NOT NULL, tenant BIGINT NOT NULL, kind TEXT NOT NULL,
  outcome DOUBLE PRECISION NOT NULL, subject TEXT NOT NULL, created DOUBLE PRECISION NOT NULL, learnt BIGINT NOT NULL,
  UNIQUE (interaction, tenant, kind, subject)
);
CREATE INDEX feedback_untold ON feedback (seq) WHERE learnt = 0;
CREATE INDEX feedback_created ON feedback (created);
CREATE TABLE policies (
  seq $serial, name TEXT NOT NULL UNIQUE, data $blob NOT NULL, note TEXT NOT NULL, created DOUBLE PRECISION NOT NULL
);
CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, expires DOUBLE PRECISION NOT NULL);
CREATE TABLE flights (
  tenant BIGINT NOT NULL, key TEXT NOT NULL, user_id BIGINT NOT NULL REFERENCES users, holder TEXT NOT NULL,
  expires DOUBLE PRECISION NOT NULL, body $blob, PRIMARY KEY (tenant, key)
);
CREATE INDEX flights_key ON flights (key);
CREATE INDEX flights_user ON flights (user_id);
CREATE INDEX flights_expires ON flights (expires);
CREATE TABLE traffic (
  minute BIGINT NOT NULL, tenant BIGINT NOT NULL, model TEXT NOT NULL, requests BIGINT NOT NULL, errors BIGINT NOT NULL,
  cached BIGINT NOT NULL, with_examples BIGINT NOT NULL, prompt_tokens BIGINT NOT NULL, answer_tokens BIGINT NOT NULL,
  cost DOUBLE PRECISION NOT NULL, seconds DOUBLE PRECISION NOT NULL, rated BIGINT NOT NULL,
  rating DOUBLE PRECISION NOT NULL, PRIMARY KEY (minute, tenant, model)
);
CREATE INDEX traffic_tenant ON traffic (tenant, minute)
"""

BORN = f"INSERT INTO meta VALUES ('format', '{FORMAT}'), ('floor', '0')"
"""What a new store has in its table ``meta``, beside ``born``."""


def statements(words: Mapping[str, str]) -> list[str]:
    """Returns the statements that make the tables.

    Args:
      words: the database's words for ``serial`` (a key that rises and is never given twice), ``blob`` and ``vector``.
    """
    return string.Template(_SCHEMA).substitute(words).split(";")


def refuse(found: str, where: str, remedy: str) -> str:
    """Returns the message about a store of another format.

    Args:
      found: its format.
      where: the file or database.
      remedy: what to do, after "or".
    """
    return (
        f"{where} is a store of format {found}, and this version of jaxalign reads format {FORMAT}: use the version "
        f"that wrote it, or {remedy}"
    )
