"""A tiny decoder learns to compare: from records to rows, steps, and preferences on lists it has not seen."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tokenizers

from jaxalign import data, losses, models, numerics, training

NUM_RECORDS, NUM_TRAINED, NUM_STEPS = 300, 225, 250
LETTERS = "cdefghij"


def make_tokenizer():
    """One token a marker, letter or sign."""
    pieces = ["</s>", "<unk>", "[CONTEXT]", "[RESPONSE A]", "[RESPONSE B]", *" AB=+-", *LETTERS]
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({piece: n for n, piece in enumerate(pieces)}, "<unk>"))
    markers = tokenizers.Regex(r"\[[A-Z ]+\]|.")
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split(markers, "isolated")
    backend.decoder = tokenizers.decoders.Fuse()
    return data.HfTokenizer(backend, {"eos_token": "</s>", "unk_token": "<unk>"})


def make_records():
    """Three responses; better is that whose first letter is later in the alphabet. The prompt does not matter."""
    rng = np.random.default_rng(0)
    records = []
    for _ in range(NUM_RECORDS):
        places = rng.integers(0, 8, (3, 3))
        responses = tuple("".join(LETTERS[place] for place in of_response) for of_response in places)
        records.append(data.PreferenceRecord("+-"[rng.integers(2)], responses, tuple(places[:, 0] / 7)))
    return records


def test_a_decoder_learns_to_compare():
    tokenizer, records = make_tokenizer(), make_records()
    form = data.comparison_format(tokenizer, verdicts=("A", "B", "="))
    encode = functools.partial(
        data.encode_comparison_lists, tokenizer=tokenizer, form=form, max_prompt=3, max_response=4
    )
    train, held_out = encode(records[:NUM_TRAINED]), encode(records[NUM_TRAINED:])
    config = models.DecoderConfig(
        vocab_size=tokenizer.vocab_size, width=32, mlp_width=64, num_layers=2, num_heads=2, num_kv_heads=2, head_dim=16
    )
    model = models.build(config)
    key = jax.random.key(0)
    params = jax.jit(model.init)(key, jnp.zeros((1, 1), jnp.int32))["params"]

    def loss_fn(params, batch, key):
        logps = models.verdict_logps(model, params, batch, form)
        return losses.verdict_loss(logps, batch.verdicts, where=batch.where, reduce_fn=numerics.ratio), {}

    preferences = jax.jit(lambda params, batch: models.comparison_preferences(model, params, batch, form))

    def accuracy(params):
        labels = data.label_lists(held_out, functools.partial(preferences, params), batch_size=len(held_out))
        truth = np.array([record.labels for record in records[NUM_TRAINED:]])
        unequal = truth[:, :, None] > truth[:, None]
        return (labels[:, :, None] > labels[:, None])[unequal].mean()

    optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, NUM_STEPS))
    step = training.make_train_step(loss_fn, optimizer)
    state = training.init_state(params, optimizer)
    batches = data.comparison_batches(
        train, form, batch_size=16, row_length=2 * data.comparison_length(train, form), num_epochs=100
    )
    for _, batch in zip(range(NUM_STEPS), batches, strict=False):
        state, _ = step(state, batch, key)
    # Coin flips are right on one half of the pairs with a winner; comparing first letters is always right.
    assert accuracy(state.params) > 0.9 > 0.75 > accuracy(params)
