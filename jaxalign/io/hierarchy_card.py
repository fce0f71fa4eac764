"""What the README.md of a hierarchical classifier says beside its table: the classes, the logits, and how to use it."""

import html
import re

import numpy as np

from jaxalign.models import MatchingConfig
from jaxalign.taxonomy import Taxonomy

EXAMPLES = 3  # names of each level
POOLED = {
    "mean": "the mean of the states of its tokens",
    "first": "the state of its first token",
    "last": "the state of its last token",
}
POOLER = "the state of its first token behind the encoder's pooler (a linear map and tanh)"
NUMPY_POOLING = {
    "mean": "(hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)",
    "first": "hidden[:, 0]",
    "last": "hidden[np.arange(len(texts)), mask.sum(axis=1) - 1]",
}
NUMPY_POOLER = "states.pooler_output.numpy()"


def render_section(taxonomy: Taxonomy, config: MatchingConfig, max_tokens: int) -> str:
    """Markdown to stand behind the card of the encoder; names of classes are escaped."""
    first_pooled = config.pooling == "first" and config.backbone.pooler
    return _TEMPLATE.format(
        count=len(taxonomy),
        levels=_levels(taxonomy),
        several=sum(len(parents) > 1 for parents in taxonomy.parents),
        leaves=len(taxonomy.leaves),
        pooled=POOLER if first_pooled else POOLED[config.pooling],
        width=config.backbone.width,
        class_width=config.class_width,
        max_tokens=max_tokens,
        numpy_pooling=NUMPY_POOLER if first_pooled else NUMPY_POOLING[config.pooling],
    )


def _levels(taxonomy: Taxonomy) -> str:
    rows = []
    for level in range(taxonomy.depth):
        numbers = np.flatnonzero(taxonomy.levels == level)
        names = ", ".join(_plain(taxonomy.names[number]) for number in numbers[:EXAMPLES])
        rows.append(f"| {level + 1} | {len(numbers):,} | {names} |")
    return "\n".join(rows)


def _plain(name: str) -> str:
    """Nothing in a name is markup."""
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", html.escape(name, quote=False))


_TEMPLATE = """
## Classes

The encoder in this folder is the part of a classifier with {count:,} classes, which stand above and below each other.
A text may have any number of them. {leaves:,} classes have none below them, and {several:,} have more than one above.

| Level | Classes | For example |
|---|---|---|
{levels}

`taxonomy.json` has the id, the name and the parents of each class (`parents` are numbers of classes, from 0), and
`class_matching.safetensors` what is compared with texts. They belong to this encoder alone.

## Logits

The logits of a text are `d W C^T`, all in float32. `d` is {pooled}, {width} numbers. `W` is `interaction`,
{width} x {class_width}, and `C` is `class_embeddings`, {count} x {class_width}, a row for each class. The probability
of a class is the sigmoid of its logit: each class by itself. Texts are cut to {max_tokens} tokens.

## With jaxalign

```python
import jax

from jaxalign import data, models, taxonomy
from jaxalign.io.hierarchy_model import load_hierarchy_model

texts = ["The first text.", "And another one, which is longer."]
model = load_hierarchy_model(".")  # this folder
encoded = data.encode_texts(texts, model.tokenizer, max_tokens=model.max_tokens)
(batch,) = data.ordered_text_batches(encoded, batch_size=len(texts))
predict = jax.jit(models.class_probabilities, static_argnums=0)
probabilities = predict(models.build(model.config), model.params, batch.tokens, batch.mask)
for text, row in zip(texts, taxonomy.sure_path(model.taxonomy, probabilities, 0.5)):
    print(text, [name for name, said in zip(model.taxonomy.names, row) if said])
```

`./tools/run tools.classify_hierarchy FOLDER texts.jsonl classes.jsonl` classifies the texts of a file.

## With transformers

```python
import json

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file

folder = "."  # this one
texts = ["The first text.", "And another one, which is longer."]
with open(f"{{folder}}/taxonomy.json", encoding="utf-8") as file:
    classes = json.load(file)
matching = load_file(f"{{folder}}/class_matching.safetensors")
tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="right")
encoder = transformers.AutoModel.from_pretrained(folder).eval()
inputs = tokenizer(texts, padding=True, truncation=True, max_length=classes["max_tokens"], return_tensors="pt")
with torch.no_grad():
    states = encoder(**inputs)
hidden, mask = states.last_hidden_state.numpy(), inputs["attention_mask"].numpy()
d = {numpy_pooling}
logits = d @ matching["interaction"] @ matching["class_embeddings"].T
probabilities = 1 / (1 + np.exp(-logits))
for text, row in zip(texts, probabilities):
    print(text, [classes["names"][number] for number in np.argsort(-row)[:3]])
```
"""
