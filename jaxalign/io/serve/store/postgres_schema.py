"""What PostgreSQL needs beside the tables: the extension, a role without rights beyond rows, and row-level security.

Each transaction takes the role and says for which tenants it is. Row-level security compares that with the rows, also
for the tables' owner and for superusers, since the role is neither. Without a word on tenants no row is there.
"""

import contextlib
from collections.abc import Iterator

import psycopg

from jaxalign.io.serve.store import schema
from jaxalign.io.serve.store.protocol import StoreError

ROLE = "jaxalign_rows"
_WORDS = {"serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "blob": "BYTEA", "vector": "vector"}
_MAKING = 7_271_001  # the advisory lock of those who make tables and indices
_OLDEST = (0, 8)  # pgvector's first version with iterative scans, without which a filtered search returns too few

SEARCH_PATH = """
SELECT set_config('search_path', 'jaxalign, ' || quote_ident(nspname), false)
FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'vector'
"""
"""The statement that lets a session find the tables, and pgvector wherever it is installed."""

_MAKE_ROLE = f"""
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
    BEGIN CREATE ROLE {ROLE} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
  END IF;
  IF NOT pg_has_role(current_user, '{ROLE}', 'MEMBER') THEN GRANT {ROLE} TO CURRENT_USER; END IF;
END $$
"""
_FUNCTIONS = """
CREATE FUNCTION clock() RETURNS double precision LANGUAGE sql VOLATILE
  RETURN extract(epoch FROM clock_timestamp())::double precision;
CREATE FUNCTION contains(whole text, part text) RETURNS boolean LANGUAGE sql IMMUTABLE
  RETURN position(lower(part) IN lower(whole)) > 0;
CREATE FUNCTION visible(tenant bigint) RETURNS boolean LANGUAGE sql STABLE
  RETURN current_setting('jaxalign.tenants', true) = '*'
    OR tenant::text = ANY (string_to_array(current_setting('jaxalign.tenants', true), ','))
"""
_GRANTS = f"""
GRANT USAGE ON SCHEMA jaxalign TO {ROLE};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA jaxalign TO {ROLE};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA jaxalign TO {ROLE}
"""


def become(tenants: str) -> str:
    """Returns the statement that gives a transaction its role and tenants.

    Args:
      tenants: ``*`` or numbers with commas between.
    """
    return f"SELECT set_config('role', '{ROLE}', true), set_config('jaxalign.tenants', '{tenants}', true)"


@contextlib.contextmanager
def making(connection: psycopg.Connection, where: str) -> Iterator[None]:
    """Gives a transaction of the connection's own user, in which nobody else makes tables or indices.

    Args:
      connection: in autocommit mode.
      where: the database, for messages.

    Raises:
      StoreError: the user lacks a right, or the server lacks pgvector; says what to do.
    """
    try:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MAKING])
            yield
    except (psycopg.ProgrammingError, psycopg.NotSupportedError, psycopg.errors.UndefinedFile) as error:
        raise StoreError(
            f"{where}: {str(error).strip()}. Connect as the user that made the tables; the first time, a database "
            f"administrator makes ready with CREATE EXTENSION vector; CREATE ROLE {ROLE} NOLOGIN; GRANT {ROLE} TO that "
            "user; GRANT CREATE ON DATABASE to that user"
        ) from error


def prepare(connection: psycopg.Connection, where: str) -> None:
    """Makes what is not there, one process at a time.

    Args:
      connection: in autocommit mode.
      where: the database, for messages.

    Raises:
      StoreError: pgvector or a right is missing, or the store is of another format; says what to do.
    """
    with making(connection, where):
        if connection.execute("SELECT to_regclass('jaxalign.meta')").fetchone() == (None,):
            _make(connection)
        [found] = connection.execute("SELECT value FROM jaxalign.meta WHERE key = 'format'").fetchone()
        [version] = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    if found != str(schema.FORMAT):
        raise StoreError(schema.refuse(found, where, "name another database"))
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise StoreError(f"{where}: expected pgvector 0.8 or later, got {version}; ALTER EXTENSION vector UPDATE")


def _make(connection: psycopg.Connection) -> None:
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    connection.execute(_MAKE_ROLE)
    connection.execute("CREATE SCHEMA jaxalign")
    connection.execute(SEARCH_PATH)
    for statement in [*schema.statements(_WORDS), *_FUNCTIONS.split(";"), schema.BORN]:
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('born', clock()::text)")
    for table, column in [("tenants", "id"), *((table, "tenant") for table in schema.BY_TENANT)]:
        connection.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        connection.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        connection.execute(f"CREATE POLICY of_tenants ON {table} USING (visible({column}))")
    for statement in _GRANTS.split(";"):
        connection.execute(statement)
