"""Text from a decoder: K samples a prompt, from one prefilled prompt."""

from jaxalign.sampling.generate import Samples, generate
from jaxalign.sampling.rules import LogitsFn, greedy, sample_top_k

__all__ = ["LogitsFn", "Samples", "generate", "greedy", "sample_top_k"]
