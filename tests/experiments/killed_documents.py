"""Documents by a server, written in processes that may be killed; each is a fork of one that has imported everything.

``python -m tests.experiments.killed_documents`` reads for each start a line of JSON, ``[NAME OF CALL, FOLDER, URL]``.
It prints the id of the process, which is its API key too, and how it ended: its exit code, or a signal's number below
0. What is forked has neither threads nor a JAX backend.
"""

import json
import os
import pathlib
import sys
import traceback

from experiments.common.llm.engine import open_engine
from experiments.common.llm.server import LanguageModel, Server
from jaxalign.attributes import make_requests, plain_assignments, render_simple_document, sample_assignments
from jaxalign.io import jobs, llm
from jaxalign.io.llm.service import Ledger
from tests.attributes.tiny import TASK

CONCURRENCY = 3
FILE = "documents.jsonl"
CALLS = {"write": jobs.write_document_file, "retry": jobs.retry_failed}


def make_all_requests():
    """A hundred: 40 whose prompts differ, and those of SimPrompt, 20 times each of three prompts."""
    distinct = [each for each in make_requests(TASK, sample_assignments(TASK, 60, seed=0)) if not each.draw]
    return (*distinct[:40], *make_requests(TASK, plain_assignments(TASK, 20), render_simple_document))


def write(call: str, folder: pathlib.Path, url: str) -> None:
    """Writes the file of documents, with tokens and costs, and ``answers.jsonl`` beside it."""
    flags = LanguageModel("m", url, Server(concurrency=CONCURRENCY, max_retries=0))
    writer = open_engine(flags, folder, Ledger(price=llm.Price(0.15, 0.6))).documents
    options = {"settings": {"model": "m"}, "chunk": 8, "seed": 3, "show": False}
    CALLS[call](folder / FILE, writer.generate, make_all_requests(), usage_fn=writer.usage_fn, **options)


def fork(call: str, folder: str, url: str) -> int:
    """Starts a process of its own that writes, and returns its id."""
    if process := os.fork():
        return process
    code, os.environ["OPENAI_API_KEY"] = 1, str(os.getpid())
    try:
        write(call, pathlib.Path(folder), url)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    for line in sys.stdin:
        process = fork(*json.loads(line))
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
