"""What every system around a language model needs: options and their probabilities, and readers of what it wrote.

Readers go by an explicit grammar, after any thinking. What is not clearly one of the answers that were asked for is
None or an empty list, for the caller to count: never a vote.

    prompting.final_text("<think>A? Or B?</think>The answer is B.")  # "The answer is B."
    prompting.parse_option("The answer is B.", (" A", " B"))  # 1
    prompting.parse_verdict("Overall, B is better than A.")  # 0.0
    prompting.parse_list("1. tone\\n2. length")  # ("tone", "length")

- ``final_text``: what stands after the thinking.
- ``plain``, ``bare``, ``Name``, ``names_of_options``: texts and names of answers in the form that is compared.
- ``Spellings``, ``letters``: which of several things a name means, however it is spelt.
- ``parse_option``, ``read_choice``, ``read_announced``: which of several options a text gives as its answer.
- ``parse_verdict``: which of two texts, A and B, a judge prefers in writing.
- ``parse_list``, ``parse_sections``, ``parse_blocks``: lists, statements under headings, and named blocks of text.
- ``parse_values``, ``parse_document``, ``is_refusal``: values without quotes, and a text without a chat around it.
- ``option_probabilities``, ``per_token_probabilities``, ``softmax``, ``NormaliseFn``: the probabilities of options.
- ``make_frequency_scores``: scores of options from how often a model answers with each.
- ``both_orders``, ``Orders``, ``Verdict``, ``is_read``: two things compared in both orders of presentation.
- ``guess_tokens``: an estimate of tokens without a tokenizer.

Sentences are split by :func:`jaxalign.metrics.split_sentences`, which ROUGE needs as well. Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "choices": ["read_announced", "read_choice"],
        "lists": ["parse_blocks", "parse_list", "parse_sections"],
        "names": ["Name", "bare", "names_of_options", "plain"],
        "options": [
            "NormaliseFn",
            "make_frequency_scores",
            "option_probabilities",
            "parse_option",
            "per_token_probabilities",
            "softmax",
        ],
        "orders": ["Orders", "Verdict", "both_orders", "is_read"],
        "refusals": ["is_refusal"],
        "spelling": ["Spellings", "letters"],
        "thinking": ["final_text"],
        "tokens": ["guess_tokens"],
        "verdicts": ["parse_verdict"],
        "written": ["ParsedDocument", "parse_document", "parse_values"],
    },
)
