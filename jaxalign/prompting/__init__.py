"""What a language model wrote, read by an explicit grammar: its final answer after any thinking, options, and verdicts.

What is not clearly one of the answers that were asked for is None, for the caller to count: never a vote.

    prompting.final_text("<think>A? Or B?</think>The answer is B.")  # "The answer is B."
    prompting.read_choice("The answer is B.", prompting.names_of_options((" A", " B")))  # 1

Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "choices": ["read_announced", "read_choice"],
        "names": ["Name", "bare", "names_of_options", "plain"],
        "options": [
            "make_frequency_scores",
            "option_probabilities",
            "parse_option",
            "per_token_probabilities",
            "softmax",
        ],
        "pairs": ["parse_verdict"],
        "thinking": ["final_text"],
    },
)
