"""Settings: what is read, and what is refused with its place."""

import dataclasses
import tomllib

import pytest
import tomli_w

from jaxalign.io.serve import starting
from jaxalign.io.serve.config import Model, ServeConfig, Upstream, check_config, hash_key, read_config

GOOD = {
    "upstreams": [{"name": "here", "base_url": "http://127.0.0.1:8001/v1"}],
    "models": [
        {"name": "small", "upstream": "here", "prompt_price": 1, "answer_price": 1},
        {"name": "large", "upstream": "here", "prompt_price": 2.0, "answer_price": 6.0},
        {"name": "judge", "upstream": "here", "prompt_price": 100.0, "routed": False},
    ],
}


def read(folder, **changes):
    path = folder / "serve.toml"
    path.write_bytes(tomli_w.dumps(GOOD | changes).encode())
    return read_config(path)


def changed(table, place, **fields):
    rows = [dict(each) for each in GOOD[table]]
    rows[place] |= fields
    return {table: rows}


def test_what_is_not_said_has_defaults_and_costs_are_relative_to_the_dearest_routed_model(tmp_path):
    found = read(tmp_path)
    assert found.costs == {"small": 2 / 8, "large": 1.0} and found.fallback == "large"
    assert found.host == "127.0.0.1" and found.store == "sqlite" and found.tenants == ()
    assert [model.name for model in found.routed] == ["small", "large"]


def test_models_without_prices_cost_alike(tmp_path):
    rows = [{"name": name, "upstream": "here"} for name in ("a", "b")]
    assert read(tmp_path, models=rows).costs == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"modles": []}, r"top level: \['modles'\] are not known; expected some of"),
        ({"port": "8080"}, "port: expected int, got '8080'"),
        ({"routing": {"stray": True}}, "routing.stray: expected float, got True"),
        ({"routing": {"stray": 1.5}}, "routing.stray: expected a number from 0 to 1, got 1.5"),
        ({"routing": {"fallback": "judge"}}, "routing.fallback: 'judge' is none of the models"),
        ({"routing": {"alias": "small"}}, "routing.alias: 'small' is also a model's name"),
        ({"learning": {"judge": "nobody"}}, "learning.judge: 'nobody' is none"),
        ({"limits": {"body_bytes": 0}}, "limits.body_bytes: expected a number above 0"),
        ({"embedder": {"kind": "encoder"}}, "embedder.source: expected a directory"),
        ({"embedder": {"kind": "bert"}}, r"embedder.kind: expected one of \['hash', 'encoder', 'server'\], got 'bert'"),
        ({"models": []}, "models: expected at least one"),
        (changed("models", 0, upstream="there"), "models.small.upstream: 'there' is none of"),
        (changed("models", 0, name="large"), r"models: \['large'\] stand there more than once"),
        (changed("models", 0, slots=0), "models.small.slots: expected at least 1, got 0"),
        (changed("upstreams", 0, base_url="127.0.0.1:8001"), "upstreams.here.base_url: expected http://HOST/v1"),
        ({"upstreams": [{"name": "here"}]}, r"upstreams\[0\]: \['base_url'\] are missing"),
        ({"tenants": [{"name": "a", "reuse": "some"}]}, r"tenants\[0\].reuse: expected one of"),
        (
            {"tenants": [{"name": name, "key_sha256": [hash_key("k")]} for name in "ab"]},
            "key_sha256 of all tenants: .* more than once",
        ),
        ({"host": "0.0.0.0"}, "host: '0.0.0.0' is reachable from elsewhere and any key would be accepted"),
    ],
)
def test_what_does_not_hold_together_is_refused_with_its_place(tmp_path, changes, says):
    with pytest.raises(ValueError, match=f"serve.toml: {says}"):
        read(tmp_path, **changes)


def test_a_key_in_a_url_is_refused_and_not_shown(tmp_path):
    with pytest.raises(ValueError, match="upstreams.here.base_url") as refused:
        read(tmp_path, **changed("upstreams", 0, base_url="http://user:hunter2@host/v1"))
    assert "hunter2" not in str(refused.value)


def test_a_server_of_this_machine_has_a_process_for_each_part_and_reads_the_same_settings(tmp_path):
    folder = tmp_path / 'it\'s "mine"'
    upstreams = Upstream("toy", "local:simulated"), Upstream("own", "local:some/model")
    models = tuple(Model(name, upstream) for name, upstream in (("a", "toy"), ("b", "own")))
    config = check_config(ServeConfig(str(folder), port=9000, upstreams=upstreams, models=models))
    start = starting.prepare(config, gateways=2)
    assert [each.name for each in start.processes] == [
        "upstream toy", "upstream own", "worker", "learner", "gateway 0", "gateway 1"
    ]  # fmt: skip
    assert "some/model" in start.processes[1].arguments
    assert [each.arguments[-1] for each in start.processes[-2:]] == ["9000", "9001"]
    assert read_config(folder / "serve.toml") == start.config
    assert all(each.base_url.startswith("http://127.0.0.1:") for each in start.config.upstreams)
    assert dataclasses.replace(start.config, upstreams=upstreams) == config
    assert tomllib.loads((folder / "serve.toml").read_text())["tenants"] == []
    assert "any API key is accepted" in start.told[1]
