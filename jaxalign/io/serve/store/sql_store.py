"""The store over a database."""

from jaxalign.io.serve.store.database import Database
from jaxalign.io.serve.store.embedded import Embedded
from jaxalign.io.serve.store.embeddings import Embedders
from jaxalign.io.serve.store.examples import Examples
from jaxalign.io.serve.store.feed import Feed
from jaxalign.io.serve.store.feedback import FeedbackLog
from jaxalign.io.serve.store.identities import Identities
from jaxalign.io.serve.store.interactions import Interactions
from jaxalign.io.serve.store.leases import Flights, Leases
from jaxalign.io.serve.store.policies import Policies
from jaxalign.io.serve.store.traffic import TrafficCounts
from jaxalign.io.serve.store.upkeep import Upkeep


class SqlStore(
    Identities, Examples, Embedded, Feed, Interactions, FeedbackLog, Policies, Leases, Flights, TrafficCounts, Upkeep
):
    """Keeps everything in tables. Each base class has the methods of one subject; all share the database."""

    def __init__(self, database: Database):
        """Makes the store.

        Args:
          database: an open one, which ``close`` closes.
        """
        self._database, self._embedders = database, Embedders(database)
