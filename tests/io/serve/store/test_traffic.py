import concurrent.futures

from jaxalign.io.serve.store.rows import Traffic

ONE = Traffic(5, 1, "m", 1, 2, 3, 4, 5, 6, 0.5, 0.25, 1, 0.75)


def test_counts_are_added(store):
    store.add_traffic([ONE, ONE._replace(minute=6), ONE])
    store.add_traffic([ONE])
    tripled = Traffic(5, 1, "m", 3, 6, 9, 12, 15, 18, 1.5, 0.75, 3, 2.25)
    assert store.traffic(0) == [tripled, ONE._replace(minute=6)]
    assert store.traffic(6) == [ONE._replace(minute=6)] and store.traffic(7) == []


def test_counts_are_by_minute_tenant_and_model(store):
    rows = [
        ONE._replace(minute=minute, tenant=tenant, model=model)
        for minute in (5, 6)
        for tenant in (1, 2)
        for model in "ab"
    ]
    store.add_traffic(rows[::-1])
    assert store.traffic(0) == rows
    assert store.traffic(0, tenant=2) == [row for row in rows if row.tenant == 2]


def test_what_a_tenant_spent(store):
    store.add_traffic([ONE, ONE._replace(model="n", cost=1.0), ONE._replace(minute=9), ONE._replace(tenant=2)])
    assert store.spent(1, 5) == (3, 2.0)  # .5 + 1 + .5
    assert store.spent(1, 6) == (1, 0.5) and store.spent(1, 10) == (0, 0.0) and store.spent(9, 0) == (0, 0.0)


def test_no_count_is_lost_among_many_writers(store):
    rows = [ONE._replace(minute=minute) for minute in range(4)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(store.add_traffic, [rows, rows[::-1]] * 15))
    assert [row.requests for row in store.traffic(0)] == [30] * 4
