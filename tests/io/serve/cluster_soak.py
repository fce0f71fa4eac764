"""What ``test_cluster`` shows, for as long as one likes: ``python -m tests.io.serve.cluster_soak --minutes 5``.

In each round one thing happens, drawn at random: a gateway is killed, told to end, or begun while PostgreSQL is away;
PostgreSQL is stopped. It ends with an error at the first request that failed without reason, or the first loss.
"""

import argparse
import asyncio
import collections
import random
import tempfile
import time

from jaxalign.io.serve.store.opening import open_store
from tests.io.serve.clients import Clients
from tests.io.serve.test_cluster import (
    assert_all_kept,
    assert_only_the_dead_failed,
    balanced_gateways,
    restart,
    until_the_store_is_there,
)
from tests.postgres import Server


async def killed(clients, gateways, balancer, postgres, number):
    began = time.monotonic()
    gateways.end(number)
    death = (number, began, time.monotonic())
    await clients.more(random.randrange(1, 9))
    await restart(gateways, balancer, number)
    return [death]


async def told_to_end(clients, gateways, balancer, postgres, number):
    await gateways.end_gracefully(number)
    await clients.more(random.randrange(1, 9))
    await restart(gateways, balancer, number)
    return []


async def store_away(clients, gateways, balancer, postgres, number):
    await asyncio.to_thread(postgres.stop)
    await clients.more(random.randrange(1, 30))
    await asyncio.to_thread(postgres.start)
    await asyncio.gather(*map(until_the_store_is_there, gateways.urls))
    return []


async def begun_without_store(clients, gateways, balancer, postgres, number):
    await asyncio.to_thread(postgres.stop)
    deaths = await killed(clients, gateways, balancer, postgres, number)
    await clients.more(random.randrange(1, 9))
    await asyncio.to_thread(postgres.start)
    await asyncio.gather(*map(until_the_store_is_there, gateways.urls))
    return deaths


EVENTS = (killed, told_to_end, store_away, begun_without_store)


async def soak(gateways, balancer, postgres, database, seconds, each):
    until, happened, deaths = time.monotonic() + seconds, collections.Counter(), []
    async with Clients(balancer.url, each).asking() as clients:
        while time.monotonic() < until:
            event, number = random.choice(EVENTS), random.randrange(3)
            deaths += await event(clients, gateways, balancer, postgres, number)
            happened[event.__name__] += 1
            await clients.more(random.randrange(1, 9), feedback=1)
            print(f"{event.__name__} {number}: {len(clients.asked)} asked, {len(clients.failed)} failed", flush=True)
            assert_only_the_dead_failed(clients, balancer, deaths)
    assert_all_kept(clients, database)
    faults = collections.Counter((each.kind, each.fault[:60]) for each in clients.asked if each.fault)
    print(f"{dict(happened)}; {len(clients.asked)} asked in {seconds:.0f} s, {len(clients.kept)} interactions rated")
    print(f"not answered: {dict(faults)}; answers shared: {sum(each.cached for each in clients.asked)}")


def main() -> None:
    """Soaks."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=3, help="of each kind, and twice as many who ask the same")
    told = parser.parse_args()
    postgres = Server()
    try:
        database = postgres.url()
        open_store(database, "").close()
        with tempfile.TemporaryDirectory() as folder, balanced_gateways(database, folder) as (gateways, balancer):
            asyncio.run(soak(gateways, balancer, postgres, database, 60 * told.minutes, told.clients))
    finally:
        postgres.close()


if __name__ == "__main__":
    main()
