"""The rows of the tables: who answers, with which examples, and what is learnt on the way."""

from typing import Literal, NamedTuple

ECHOLM, LARGE_ONLY, ORACLE = "EchoLM", "large only", "oracle"
SMALL_ONLY, SMALL_RANDOM, SMALL_CHOSEN = "small only", "small, random examples", "small, chosen examples"
LOAD_BLIND, REUSE, CLASSIFIER = "EchoLM, blind to load", "semantic cache", "classifier (RouteLLM)"
RANDOM_EXAMPLES, GAIN_REPLAY, RANDOM_REPLAY = (
    "EchoLM, random examples",
    "EchoLM, replay by gain",
    "EchoLM, random replay",
)
NEAREST_EXAMPLES = "EchoLM, nearest examples"
SMALL_NEAREST, NEAREST_GAIN = "small, nearest examples", "small, nearest examples, replay by gain"
NEAREST_RANDOM = "small, nearest examples, random replay"
MIXES = tuple(f"fixed mix, {share:.0%} small" for share in (0.25, 0.5, 0.75))


class Method(NamedTuple):
    """How requests are served."""

    route: Literal["router", "small", "large", "best", "classifier", "mix"]  # best: by the true qualities
    # Of the small model. Nearest: the most similar requests', as they are; best: those that truly help.
    examples: Literal["none", "random", "nearest", "chosen", "best"] = "none"
    sees_load: bool = True
    reuses: bool = False  # the nearest answer as it is, where it is near enough
    replays: Literal["none", "gain", "random"] = "none"
    small_share: float = 0.0  # of a mix

    @property
    def learns(self) -> bool:
        """Says whether feedback is put to use."""
        return self.route == "router" or self.examples in ("nearest", "chosen")


METHODS = {
    ECHOLM: Method("router", "chosen"),
    LOAD_BLIND: Method("router", "chosen", sees_load=False),
    RANDOM_EXAMPLES: Method("router", "random"),
    NEAREST_EXAMPLES: Method("router", "nearest"),
    GAIN_REPLAY: Method("router", "chosen", replays="gain"),
    RANDOM_REPLAY: Method("router", "chosen", replays="random"),
    SMALL_ONLY: Method("small"),
    SMALL_RANDOM: Method("small", "random"),
    SMALL_CHOSEN: Method("small", "chosen"),
    SMALL_NEAREST: Method("small", "nearest"),
    NEAREST_GAIN: Method("small", "nearest", replays="gain"),
    NEAREST_RANDOM: Method("small", "nearest", replays="random"),
    LARGE_ONLY: Method("large"),
    **{name: Method("mix", "chosen", small_share=share) for name, share in zip(MIXES, (0.25, 0.5, 0.75), strict=True)},
    REUSE: Method("large", reuses=True),
    CLASSIFIER: Method("classifier"),
    ORACLE: Method("best", "best"),
}
