from jaxalign.io.cluster import heartbeat


def test_what_was_said():
    entries = [("jaxalign/alive/0", "7"), ("jaxalign/alive/10", "ended"), ("jaxalign/failed/1", "ValueError: a/b")]
    assert heartbeat.parse(entries) == {"alive": {0: "7", 10: "ended"}, "failed": {1: "ValueError: a/b"}}


def test_who_was_heard_from():
    heard = {0: ("1", 10.0), 1: ("1", 10.0), 2: ("ended", 3.0), 3: ("", 0.0)}
    said = {0: "2", 1: "1", 2: "ended"}
    # Process 0 said something new, 1 did not, 2 has ended in good order, 3 never spoke.
    assert heartbeat.update(heard, said, 20.0) == {0: ("2", 20.0), 1: ("1", 10.0), 2: ("ended", 20.0), 3: ("", 0.0)}
