"""Text from language models: K samples from one prefilled prompt, rules to draw and to choose by, endless jobs."""

from jaxalign.sampling.generate import Samples, generate
from jaxalign.sampling.jobs import Completion, job_numbers, run_jobs
from jaxalign.sampling.readers import split_once
from jaxalign.sampling.rules import (
    Candidates,
    Rule,
    Transform,
    greedy,
    min_p,
    repetition_penalty,
    sample,
    temperature,
    top_k,
    top_p,
)
from jaxalign.sampling.selection import Knockout, best_of_n, knockout, round_robin_ranks
from jaxalign.sampling.text import Stops, stop_strings, text_before
from jaxalign.sampling.waiting import Job

__all__ = [
    "Candidates",
    "Completion",
    "Job",
    "Knockout",
    "Rule",
    "Samples",
    "Stops",
    "Transform",
    "best_of_n",
    "generate",
    "greedy",
    "job_numbers",
    "knockout",
    "min_p",
    "repetition_penalty",
    "round_robin_ranks",
    "run_jobs",
    "sample",
    "split_once",
    "stop_strings",
    "temperature",
    "text_before",
    "top_k",
    "top_p",
]
