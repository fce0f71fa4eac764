"""Continuous batching gives what ``generate`` gives, whatever the slots and neighbours."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
import tiny

from jaxalign import models, sampling, sharding

RULE = sampling.sample(sampling.temperature(2.0), sampling.repetition_penalty(1.3), sampling.top_p(0.95))
NUM_SAMPLES, MAX_NEW, ROOM = 2, 12, 20
# Tokens of each prompt: below and above the window of 4, one bucket and the next, two the same.
LENGTHS = (3, 18, 1, 7, 7, 2)
STOP_IDS = tuple(range(3, 61, 8))  # many, for samples of unlike length
OPTIONS = {"max_new_tokens": MAX_NEW, "eos_id": STOP_IDS, "rule": RULE}


@functools.cache
def case():
    """A model of windowed and global layers, prompts, and what ``generate`` draws for them as one batch."""
    model, params = tiny.init(dataclasses.replace(tiny.MIXED, num_layers=2, windowed_layers=(True, False)))
    rng = np.random.default_rng(1)
    prompts = [rng.integers(0, model.config.vocab_size, length).tolist() for length in LENGTHS]
    prompts[4] = prompts[3]
    tokens, mask = np.zeros((len(prompts), ROOM), np.int32), np.zeros((len(prompts), ROOM), bool)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)], mask[row, : len(prompt)] = prompt, True
    drawn = sampling.generate(model, params, tokens, mask, jax.random.key(7), num_samples=NUM_SAMPLES, **OPTIONS)
    return model, params, prompts, jax.device_get(drawn)


def run(jobs, *, params=None, **options):
    model, own, _, _ = case()
    options = {"num_slots": 3, "max_prompt_tokens": ROOM, **OPTIONS, **options}
    return list(sampling.run_jobs(model, own if params is None else params, jobs, jax.random.key(7), **options))


def all_jobs():
    return [sampling.Job(number, prompt, range(NUM_SAMPLES)) for number, prompt in enumerate(case()[2])]


def assert_expected(completions, samples=None):
    """Each job's samples once, with the tokens and log-probabilities of ``generate``."""
    drawn = case()[3]
    found = sorted((each.job, each.sample) for each in completions)
    assert found == (samples or [(job, sample) for job in range(len(LENGTHS)) for sample in range(NUM_SAMPLES)])
    for each in completions:
        mask = drawn.mask[each.job, each.sample]
        assert list(each.tokens) == drawn.tokens[each.job, each.sample][mask].tolist()
        np.testing.assert_allclose(each.logps, drawn.logps[each.job, each.sample][mask], rtol=1e-4, atol=1e-4)
        assert each.finish == ("stop_token" if each.tokens[-1] in STOP_IDS else "length")


def test_the_reference_has_samples_of_unlike_length():
    lengths = case()[3].mask.sum(axis=2)
    assert lengths.min() < 4 and lengths.max() == MAX_NEW
    assert (case()[3].tokens[3] != case()[3].tokens[4]).any()  # one prompt twice, unlike keys


@pytest.mark.parametrize(("num_slots", "stride"), [(1, 5), (3, 4), (16, 16)])
def test_equals_generate(num_slots, stride):
    assert_expected(run(all_jobs(), num_slots=num_slots, stride=stride))


def test_samples_that_are_missing_and_other_neighbours():
    jobs = [sampling.Job(5, case()[2][5], [1]), sampling.Job(1, case()[2][1], [0])]
    assert_expected(run(jobs, num_slots=3, stride=4), [(1, 0), (5, 1)])


def test_a_prompt_is_prefilled_once_and_only_when_a_slot_is_free():
    asked = []

    def jobs():
        for job in all_jobs():
            asked.append(job.number)
            yield job

    completions = sampling.run_jobs(
        case()[0], case()[1], jobs(), jax.random.key(7), num_slots=3, max_prompt_tokens=ROOM, stride=4, **OPTIONS
    )
    next(completions)
    assert max(asked) < 4


def test_a_mesh_gives_the_tokens_of_one_device(allow_nans):
    model, params, prompts, drawn = case()
    mesh = sharding.make_mesh(data=2, fsdp=2, tensor=2)
    rules = sharding.Rules(models.LOGICAL_AXES, {**sharding.DEFAULT_MESH_AXES, "vocab": None})
    placed = sharding.place(params, sharding.param_shardings(params, mesh, rules))
    batch = sharding.batch_sharding(mesh, rules)
    assert_expected(run(all_jobs(), params=placed, num_slots=8, stride=4, sharding=batch))


def test_stop_strings_end_texts_and_numbers_stay_in_step():
    def decode(ids):
        return "".join(f"<{token}>" for token in ids)

    _, _, _, drawn = case()
    # The fourth and fifth token of a sample that runs to its full length, as text across tokens.
    job, sample = np.argwhere(drawn.mask.all(axis=2))[0]
    tokens = drawn.tokens[job, sample].tolist()
    string = f"{tokens[3]}><{tokens[4]}"
    for stride in (3, 16):
        stop = sampling.stop_strings([string, "never"], decode)
        (ended,) = run([sampling.Job(int(job), case()[2][job], [int(sample)])], stop=stop, stride=stride)
        assert (ended.finish, list(ended.tokens)) == ("stop_string", tokens[:5])
        np.testing.assert_allclose(ended.logps, drawn.logps[job, sample, :5], rtol=1e-4, atol=1e-4)
        assert sampling.text_before(decode(ended.tokens), [string]) == decode(tokens[:3]) + "<"


def test_no_jobs():
    assert run([]) == []


def test_prompts_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="job 4 has a prompt without tokens; begin it with the beginning"):
        run([sampling.Job(4, [], [0])])
    with pytest.raises(ValueError, match="job 2 has a prompt of 21 tokens, and slots have room for 20; shorten"):
        run([sampling.Job(2, [1] * 21, [0])])
    with pytest.raises(ValueError, match="2040 tokens of prompt and 12 new ones exceed the model's context of 2048"):
        run([], max_prompt_tokens=2040)


def test_stop_strings_are_lists_of_texts():
    with pytest.raises(ValueError, match="not empty, got 'ab'"):
        sampling.stop_strings("ab", str)
    with pytest.raises(ValueError, match=r"not empty, got \['a', ''\]"):
        sampling.text_before("text", ["a", ""])


def test_text_before_the_first_of_several():
    assert sampling.text_before("one two three", ["three", "two"]) == "one "
    assert sampling.text_before("one two three", ["four"]) == "one two three"


@pytest.mark.parametrize(
    ("size", "value"),
    [
        ("num_slots", 0),
        ("num_slots", -1),
        ("stride", 0),
        ("max_new_tokens", 0),
        ("max_prompt_tokens", 0),
    ],
)
def test_sizes_that_give_no_sample_are_named(size, value):
    with pytest.raises(ValueError, match=f"{size} must be a whole number of at least 1, got {value}"):
        run(all_jobs(), **{size: value})


@pytest.mark.parametrize("size", ["num_samples", "max_new_tokens"])
def test_generate_names_them_too(size):
    model, params, _, _ = case()
    tokens = np.ones((1, 2), np.int32)
    with pytest.raises(ValueError, match=f"{size} must be a whole number of at least 1, got 0"):
        options = {"num_samples": 1, **OPTIONS, size: 0}
        sampling.generate(model, params, tokens, tokens > 0, jax.random.key(0), **options)


def test_the_host_waits_once_a_stride_and_not_for_each_sample(monkeypatch):
    """It holds on one device; programs of several CPU devices go one at a time."""
    params = case()[1]
    fetched = []
    get = jax.device_get
    monkeypatch.setattr(jax, "device_get", lambda values: fetched.append(1) or get(values))
    blocked, array = [], type(jax.tree.leaves(params)[0])
    wait = array.block_until_ready
    monkeypatch.setattr(array, "block_until_ready", lambda self: blocked.append(1) or wait(self))
    assert_expected(run(all_jobs(), num_slots=16, stride=16))
    assert (len(fetched), len(blocked)) == (1, 0)


def test_programs_of_several_cpu_devices_go_one_at_a_time(monkeypatch):
    """They do so too where only the parameters lie on them: collectives may wait for each other until XLA aborts."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), "x")
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    params = jax.device_put(case()[1], everywhere)
    blocked, array = [], type(jax.tree.leaves(params)[0])
    wait = array.block_until_ready
    monkeypatch.setattr(array, "block_until_ready", lambda self: blocked.append(1) or wait(self))
    done = run(all_jobs(), params=params, num_slots=16, stride=16)
    assert len(blocked) == len(done) > 1


def test_prompts_of_one_hash_get_numbers_of_their_own(monkeypatch):
    monkeypatch.setattr(sampling.jobs.zlib, "crc32", lambda data: 7)
    assert sampling.job_numbers([(1,), (2,), (1,)]) == {(1,): 7, (2,): 8}
