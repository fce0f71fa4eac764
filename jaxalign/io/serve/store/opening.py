"""Opens the store that a config names."""

import pathlib

from jaxalign.io.serve.store.protocol import Store
from jaxalign.io.serve.store.sql_store import SqlStore
from jaxalign.io.serve.store.sqlite import SqliteDatabase


def open_store(url: str, folder: str | pathlib.Path) -> Store:
    """Opens a store, and makes it if it is not there.

    Args:
      url: ``sqlite`` for ``store.sqlite`` in the folder, or ``postgresql://USER@HOST/DATABASE``, whose password comes
        from the environment variable PGPASSWORD.
      folder: the server's folder.

    Returns:
      The store. Threads may share it; close it in the end.

    Raises:
      ValueError: the URL is of neither kind, or has a password.
      ImportError: PostgreSQL's client is not installed.
      StoreError: the store cannot be opened, or is of another format; says what to do.
    """
    if url == "sqlite":
        return SqlStore(SqliteDatabase(pathlib.Path(folder) / "store.sqlite"))
    if url.startswith("postgresql://"):
        from jaxalign.io.serve.store.postgres import PostgresDatabase  # psycopg is for those who use it

        return SqlStore(PostgresDatabase(url))
    raise ValueError(
        f"store: expected sqlite or postgresql://USER@HOST/DATABASE, got a URL of {url.partition(':')[0]!r}"
    )
