"""Language models, in this process or on an OpenAI-compatible server, as the callables that judges and ensembles take.

    client = llm.Client("http://127.0.0.1:8000/v1", "some/model")
    service = llm.service.asking(client, llm.Cache("runs/answers.jsonl"))  # or replaying, from the file alone
    generate, score_options = llm.service.make_generate(service), llm.options.make_score_options(service)

    generate = llm.local.make_generate(model, params, tokenizer)  # in this process; llm.record remembers what it said
    score_options = llm.local.make_score_options(model, params, tokenizer)  # llm.turns makes chats of texts

What was asked once is in a file, and is neither paid nor computed again.
"""

from jaxalign.io.llm import fitting, local, metering, options, prices, record, service, turns
from jaxalign.io.llm.accounting import Price, Usage, cost_of, dollars, usage_of
from jaxalign.io.llm.cache import Cache
from jaxalign.io.llm.http import Client, RequestError
from jaxalign.io.llm.protocol import Request
from jaxalign.io.llm.replies import Answer
from jaxalign.io.llm.runs import Completed, NotRecordedError, complete, missing, replay

__all__ = ["Answer", "Cache", "Client", "Completed", "NotRecordedError", "Price", "Request", "RequestError", "Usage"]
__all__ += ["complete", "cost_of", "dollars", "missing", "replay", "usage_of"]
__all__ += ["fitting", "local", "metering", "options", "prices", "record", "service", "turns"]
