"""The transform on texts: what must never come out, what is counted, and that streams repeat and stay small."""

import collections
import contextlib
import dataclasses
import itertools
import json
import tracemalloc

import grain
import numpy as np
import pytest

from jaxalign import augment, data


def make_examples(count, *, prompts=None, target=1.0, source=""):
    """Texts tell whose they are: example 3 has the winner "w3", the loser "l3" and, if not shared, the prompt "p3"."""
    prompts = count if prompts is None else prompts
    return [data.PreferencePair(f"p{n % prompts}", f"w{n}", f"l{n}", target, source, str(n)) for n in range(count)]


def read(chunks):
    """All pairs, and the sum of the reports."""
    parts, reports = zip(*chunks, strict=True)
    return list(itertools.chain.from_iterable(data.TripletPairs(chunks.examples, part) for part in parts)), sum(
        reports[1:], reports[0]
    )


def by_example(pairs):
    grouped = collections.defaultdict(list)
    for pair in pairs:
        grouped[pair.id].append(pair)
    return grouped


def winner_first(pair):
    return pair if pair.target >= 0.5 else pair.swapped()


def name_roles(number, pairs):
    """The triplets of one example in the words of the table: w_i, l_j and so on, ties in order of letters."""
    strangers = {text[1:] for pair in pairs for text in (pair.first, pair.second)} - {number}
    assert len(strangers) == 2
    for order in itertools.permutations(strangers):
        letters = dict(zip((number, *order), "ijk", strict=True))
        named = [[text[0] + letters[text[1:]] for text in (pair.first, pair.second)] for pair in pairs]
        yield sorted(
            tuple(sorted(names) if pair.target == 0.5 else names) for names, pair in zip(named, pairs, strict=True)
        )


def test_each_example_gives_the_table_and_nothing_else():
    pairs, report = read(data.TripletChunks(make_examples(9)))
    assert report == data.TripletReport(examples=9, excluded=0, ties=0, repeated=0, unsampled=0, triplets=126)
    table = [
        tuple(sorted(column) if tie else column) for column, tie in zip(augment.COLUMNS, augment.NEUTRAL, strict=True)
    ]
    grouped = by_example(map(winner_first, pairs))
    assert set(grouped) == {str(n) for n in range(9)}
    for number, own in grouped.items():
        assert sorted(table) in name_roles(number, own)
        assert {pair.prompt for pair in own} == {f"p{number}"}
        assert [pair.target for pair in own].count(0.5) == 6


def test_sides_are_drawn():
    pairs, _ = read(data.TripletChunks(make_examples(60)))
    decided = [pair.target for pair in pairs if pair.target != 0.5]
    assert len(decided) == 480 and 180 < sum(decided) < 300  # 240, standard deviation 11


def test_the_chosen_response_may_stand_second():
    examples = [dataclasses.replace(pair, source="x") for pair in make_examples(6)]
    mirrored = [pair.swapped() for pair in examples]
    ours, theirs = (read(data.TripletChunks(part, seed=3))[0] for part in (examples, mirrored))
    assert ours == theirs


def test_neither_a_true_pair_nor_one_text_twice_comes_back():
    """Four examples per prompt, and texts that many share, as refusals are."""
    rng = np.random.default_rng(0)
    texts = ["I cannot help.", "Yes.", "No.", "Maybe.", "42"]
    examples = []
    for n in range(200):
        first, second = rng.choice(texts, 2, replace=False)
        examples.append(data.PreferencePair(f"p{n % 50}", str(first), str(second), float(n % 3 > 0), id=str(n)))
    pairs, report = read(data.TripletChunks(examples))
    assert report.repeated > 100 and report.repeated + report.triplets == 14 * 200 and pairs
    for pair in pairs:
        own = examples[int(pair.id)]
        assert pair.first != pair.second
        if pair.target == 0.5:
            assert not {pair.first, pair.second} & {own.first, own.second}
        else:
            assert winner_first(pair).rejected not in (own.first, own.second)


def test_duplicate_prompts_are_one_prompt():
    """Also in other white space, and as a chat of one turn; so the others must come from elsewhere."""
    same = ["Why is  the sky blue?", "Why is the sky blue?\n", ({"role": "user", "content": "Why is the sky blue?"},)]
    chat = ({"role": "system", "content": "Be brief."}, *same[2])  # another question: the context differs
    prompts = [*same, chat, "x"] * 4
    examples = [data.PreferencePair(prompt, f"w{n}", f"l{n}", 1.0, id=str(n)) for n, prompt in enumerate(prompts)]
    pairs, report = read(data.TripletChunks(examples))
    assert report.triplets == 14 * 20
    kind = [min(n % 5, 3) if n % 5 > 2 else 0 for n in range(20)]
    kind = [4 if n % 5 == 4 else kind[n] for n in range(20)]
    for number, own in by_example(pairs).items():
        members = {int(text[1:]) for pair in own for text in (pair.first, pair.second)} | {int(number)}
        assert sorted(kind[n] for n in members) == [0, 3, 4]


def test_prompts_of_another_role_are_other_prompts():
    prompts = "x", ({"role": "system", "content": "x"},), "y"
    examples = [data.PreferencePair(prompt, f"w{n}", f"l{n}", 1.0) for n, prompt in enumerate(prompts)]
    assert data.TripletChunks(examples)[0].report.triplets == 42


def test_a_chat_keeps_its_context():
    def chat(n):
        turns = ["user", "assistant", "user"]
        return tuple({"role": role, "content": f"{n} turn {t}"} for t, role in enumerate(turns))

    examples = [data.PreferencePair(chat(n), f"w{n}", f"l{n}", 1.0, id=str(n)) for n in range(5)]
    pairs, _ = read(data.TripletChunks(examples))
    assert len(pairs) == 70
    assert all(pair.prompt == chat(int(pair.id)) for pair in pairs)


def test_excluded_sources_take_no_part():
    examples = make_examples(10) + [
        data.PreferencePair(f"s{n}", f"ws{n}", f"ls{n}", 1.0, "safety", f"s{n}") for n in range(5)
    ]
    pairs, report = read(data.TripletChunks(examples, excluded_sources=["safety"]))
    assert report == data.TripletReport(examples=15, excluded=5, ties=0, repeated=0, unsampled=0, triplets=140)
    assert not any("s" in text for pair in pairs for text in (pair.prompt, pair.first, pair.second))


def test_ties_never_win():
    examples = make_examples(5) + [data.PreferencePair(f"t{n}", f"wt{n}", f"lt{n}", 0.5, id=f"t{n}") for n in range(5)]
    pairs, report = read(data.TripletChunks(examples))
    assert (report.ties, report.triplets) == (5, 5 * 14 + 5 * 6)
    assert not any(pair.chosen[1] == "t" for pair in pairs if pair.target != 0.5)
    assert all(pair.target == 0.5 for pair in pairs if pair.id[0] == "t")
    assert any(pair.rejected[1] == "t" for pair in pairs if pair.target != 0.5)


def test_a_share_of_the_triplets():
    pairs, report = read(data.TripletChunks(make_examples(11), share=0.25))
    assert len(pairs) == 39  # of 154: 38.5
    assert (report.triplets, report.unsampled) == (39, 115)


def test_chunks_divide_the_examples():
    """Into equal parts: the last one is never too small for its examples to find others."""
    examples = make_examples(101)
    chunks = data.TripletChunks(examples, chunk_size=25)
    assert [chunk.report.examples for chunk in chunks] == [20, 20, 20, 20, 21]
    assert collections.Counter(pair.id for pair in read(chunks)[0]) == {str(n): 14 for n in range(101)}
    for triplets, _ in chunks:
        own = set(triplets.prompt.tolist())
        assert set(triplets.first_example.tolist()) | set(triplets.second_example.tolist()) <= own
        assert len(own) > 15 and max(own) - min(own) > 40  # from all over the data


def test_a_chunk_is_a_function_of_its_number_and_the_seed():
    examples = make_examples(40)
    chunks, again = (data.TripletChunks(examples, chunk_size=10, seed=1) for _ in range(2))
    backwards = [again[n] for n in (3, 2, 1, 0)][::-1]
    for ours, theirs in zip(chunks, backwards, strict=True):
        assert all(map(np.array_equal, ours.triplets, theirs.triplets))
    other = data.TripletChunks(examples, chunk_size=10, seed=2)[0].triplets
    assert not np.array_equal(chunks[0].triplets.prompt, other.prompt)
    with pytest.raises(IndexError):
        chunks[4]


@pytest.mark.parametrize(
    "examples, options, message",
    [
        ([], {}, "at least one example"),
        (make_examples(9), {"chunk_size": 2}, "chunks of at least 3"),
        (make_examples(9), {"share": 1.5}, "a share in"),
        (make_examples(9), {"excluded_sources": "safety"}, "a collection of sources.*'safety'"),
    ],
)
def test_arguments_that_do_not_serve(examples, options, message):
    with pytest.raises(ValueError, match=message):
        data.TripletChunks(examples, **options)


@pytest.mark.parametrize(
    "examples, got",
    [
        (make_examples(9, prompts=1), "got 1 in 9 examples, 0 of them"),
        (make_examples(9, prompts=2), "got 2 in 9 examples, 0 of them"),
        (make_examples(9, source="safety"), "got 0 in 9 examples, 9 of them excluded"),
    ],
)
def test_too_few_prompts_are_an_error(examples, got):
    with pytest.raises(ValueError, match=f"three different prompts or more in chunk 0, {got}"):
        data.TripletChunks(examples, excluded_sources=["safety"])[0]


def test_pairs_of_other_data_or_rows_that_are_not_valid_are_refused():
    examples = make_examples(9)
    triplets = data.TripletChunks(examples)[0].triplets
    with pytest.raises(ValueError, match="expected valid triplets of 5 examples, got 0 rows .* examples 0 to 8"):
        data.TripletPairs(examples[:5], triplets)
    with pytest.raises(ValueError, match="got 126 rows that are not valid"):
        data.TripletPairs(examples, triplets._replace(valid=~triplets.valid))


def test_the_stream_holds_every_triplet_once():
    chunks = data.TripletChunks(make_examples(40), chunk_size=10, share=0.5)
    with contextlib.closing(iter(data.augmented_pairs(chunks))) as stream:
        assert list(stream) == read(chunks)[0]


def test_the_stream_continues_where_its_state_was_taken():
    """Within a chunk, and before the first pair of another one."""
    chunks = data.TripletChunks(make_examples(13), chunk_size=5, share=0.5)
    expected = read(chunks)[0]
    with contextlib.closing(iter(data.augmented_pairs(chunks))) as stream:
        states = [json.loads(json.dumps(stream.get_state())) for _ in itertools.chain([None], stream)]
    first = chunks[0].report.triplets
    for taken in (5, first, first + 1):
        with contextlib.closing(iter(data.augmented_pairs(chunks))) as resumed:
            resumed.set_state(states[taken])
            assert list(itertools.islice(resumed, 5)) == expected[taken : taken + 5]


def test_training_has_all_originals_and_what_was_kept():
    """However well the reward model knows the originals: the filter does not see them."""
    examples = make_examples(30)
    kept, expected = [], []
    for triplets, _ in data.TripletChunks(examples, chunk_size=10):
        # A model that only knows that the own response wins: it is surprised by the neutral triplets alone.
        probabilities = np.where(triplets.target == 0.5, 1.0, triplets.target).astype(np.float32)
        mask = np.asarray(augment.keep_informative(probabilities, triplets.target))
        kept.append(triplets.take(mask))
        expected += data.TripletPairs(examples, kept[-1])
    assert len(expected) == 30 * 6
    dataset = data.training_pairs(examples, kept)
    pairs = [dataset[n] for n in range(len(dataset))]
    assert len(pairs) == 210
    assert collections.Counter(map(winner_first, pairs)) == collections.Counter(map(winner_first, examples + expected))
    originals = [n for n, pair in enumerate(pairs) if winner_first(pair) in examples]
    assert min(originals) < 60 and max(originals) > 150  # all over the epoch, not first


def test_training_on_originals_alone():
    examples = make_examples(10)
    nothing = data.TripletChunks(examples)[0].triplets.take(np.zeros(140, bool))
    for kept in [], [nothing]:
        dataset = data.training_pairs(examples, kept)
        assert sorted(winner_first(pair).id for pair in dataset) == sorted(pair.id for pair in examples)


def test_training_pairs_are_a_function_of_their_number():
    """Epochs have other orders, and originals other sides; the same number gives the same pair."""
    examples = make_examples(40)
    kept = [chunk.triplets for chunk in data.TripletChunks(examples, share=0.1)]
    dataset, again = (data.training_pairs(examples, kept, seed=4).repeat(2) for _ in range(2))
    size = len(dataset) // 2
    assert size == 40 + 56
    assert [dataset[n] for n in reversed(range(2 * size))][::-1] == list(again)
    epochs = [list(again)[:size], list(again)[size:]]
    assert epochs[0] != epochs[1]
    assert collections.Counter(map(winner_first, epochs[0])) == collections.Counter(map(winner_first, epochs[1]))
    # Sides of the originals: fair in each epoch (20, standard deviation 3.2), and not the same in both.
    own = [{pair.id: pair.target for pair in epoch if pair.first[1:] == pair.second[1:] == pair.id} for epoch in epochs]
    assert [len(sides) for sides in own] == [40, 40] and own[0] != own[1]
    assert all(4 < sum(sides.values()) < 36 for sides in own)


def test_examples_may_be_a_grain_data_set():
    examples = make_examples(20)
    lazily = grain.MapDataset.range(20).map(lambda n: examples[n])
    chunk = data.TripletChunks(lazily, chunk_size=10)[1].triplets
    assert all(map(np.array_equal, chunk, data.TripletChunks(examples, chunk_size=10)[1].triplets))
    assert list(data.training_pairs(lazily, [chunk])) == list(data.training_pairs(examples, [chunk]))


class Synthetic:
    """Examples that are made when they are read, as a file's would be."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, n):
        return data.PreferencePair(f"prompt {n} " + "x" * 400, f"w{n} " + "y" * 400, f"l{n}", 1.0)


def test_memory_does_not_grow_with_the_data():
    def peak(count):
        examples = Synthetic(count)
        tracemalloc.start()
        try:
            chunks = data.TripletChunks(examples, chunk_size=500)
            for number in (0, len(chunks) // 2, len(chunks) - 1):
                triplets = chunks[number].triplets
                assert len(data.TripletPairs(examples, triplets)[0].prompt) > 400
            data.training_pairs(examples, [triplets])[0]
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2_000)  # compiles
    small, large = peak(2_000), peak(1_000_000)
    assert large < 1.2 * small
