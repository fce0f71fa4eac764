"""Text from a decoder: K samples a prompt, from one prefilled prompt, and the choice among them."""

from jaxalign.sampling.generate import Samples, generate
from jaxalign.sampling.rules import LogitsFn, greedy, sample_top_k
from jaxalign.sampling.selection import Knockout, best_of_n, knockout, round_robin_ranks

__all__ = [
    "Knockout",
    "LogitsFn",
    "Samples",
    "best_of_n",
    "generate",
    "greedy",
    "knockout",
    "round_robin_ranks",
    "sample_top_k",
]
