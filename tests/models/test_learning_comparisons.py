"""A tiny decoder learns to compare: from records to rows, steps, and preferences on lists it has not seen."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tokenizers

from jaxalign import data, losses, models, numerics, training

NUM_RECORDS, NUM_TRAINED, WORD_LENGTH = 400, 320, 4
LETTERS = "cdefghij"


def make_tokenizer():
    """One token a letter, digit or sign."""
    signs = ["</s>", "<unk>", *" []:ABCENOPRSTXcdefghij="]
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({sign: n for n, sign in enumerate(signs)}, "<unk>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("."), "isolated")
    backend.decoder = tokenizers.decoders.Fuse()
    return data.HfTokenizer(backend, {"eos_token": "</s>", "unk_token": "<unk>"})


def make_records():
    """The prompt is a letter; the response with more of it is better, and equally many are a tie."""
    rng = np.random.default_rng(0)
    records = []
    for _ in range(NUM_RECORDS):
        prompt = rng.choice(list(LETTERS))
        responses = ["".join(rng.choice([prompt, *LETTERS], WORD_LENGTH, p=[0.4] + [0.6 / 8] * 8)) for _ in range(3)]
        counts = [response.count(prompt) for response in responses]
        records.append(data.PreferenceRecord(str(prompt), tuple(responses), tuple(count / 4 for count in counts)))
    return records


def test_a_decoder_learns_to_compare():
    tokenizer, records = make_tokenizer(), make_records()
    form = data.comparison_format(tokenizer, verdicts=("A", "B", "="))
    encode = functools.partial(
        data.encode_comparison_lists, tokenizer=tokenizer, form=form, max_prompt=12, max_response=WORD_LENGTH + 1
    )
    train, held_out = encode(records[:NUM_TRAINED]), encode(records[NUM_TRAINED:])
    config = models.DecoderConfig(
        vocab_size=tokenizer.vocab_size, width=32, mlp_width=64, num_layers=2, num_heads=2, num_kv_heads=2, head_dim=16
    )
    model = models.build(config)
    params = model.init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))["params"]

    def loss_fn(params, batch, key):
        logps = models.verdict_logps(model, params, batch, form)
        return losses.verdict_loss(logps, batch.verdicts, where=batch.where, reduce_fn=numerics.ratio), {}

    def accuracy(params):
        preferences = jax.jit(functools.partial(models.comparison_preferences, model, params, form=form))
        labels = data.label_lists(held_out, lambda batch: preferences(batch=batch), batch_size=20)
        truth = np.array([record.labels for record in records[NUM_TRAINED:]])
        unequal = truth[:, :, None] > truth[:, None]
        return (labels[:, :, None] > labels[:, None])[unequal].mean()

    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, 300))
    step = training.make_train_step(loss_fn, optimizer)
    state = training.init_state(params, optimizer)
    batches = data.comparison_batches(
        train, form, batch_size=16, row_length=2 * data.comparison_length(train, form), num_epochs=100
    )
    for _, batch in zip(range(300), batches, strict=False):
        state, metrics = step(state, jax.tree.map(jnp.asarray, batch), jax.random.key(0))
    # Coin flips are right on one half of the pairs with a winner; counting letters is always right.
    assert accuracy(state.params) > 0.85 > 0.7 > accuracy(params)
