"""A server that judges as the simulated judge does: texts as chat completions, options by echo."""

import json

from experiments.common.judging import reports_world
from experiments.common.judging.simulated_judge import SimulatedJudge
from tests.io.llm.chat_server import completion

OPTIONS = (" A", " B", " 1", " 2", " Yes", " No")
JUDGE = SimulatedJudge()


def chat(body):
    prompt = body["messages"][-1]["content"]
    asked = {"temperature": body["temperature"], "seed": body.get("seed")}
    text = JUDGE.generate([prompt], **asked)[0][0]
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return completion({"messages": [{"content": ""}]}, choices=[choice], usage=usage)


def echo(body):
    """The prompt is two tokens, and each option is one."""
    prompt, option = body["prompt"], ""
    for n, each in enumerate(OPTIONS):
        if not option and prompt.endswith(each):
            prompt, option, place = prompt.removesuffix(each), each, n % 2
    tokens, values = [prompt[:1], prompt[1:]], [None, -9.0]
    if option:
        tokens.append(option)
        values.append(JUDGE.score_options([prompt], [OPTIONS[:2]])[0][place].logp)
    logprobs = {"tokens": [*tokens, "!"], "token_logprobs": [*values, -0.5]}
    usage = {"prompt_tokens": len(tokens), "completion_tokens": 1}
    return {"choices": [{"text": body["prompt"] + "!", "logprobs": logprobs}], "usage": usage}


def write_pairs(path, count):
    """Pairs of the made world as a file."""
    rows = [
        {"prompt": pair.prompt, "first": pair.first, "second": pair.second, "wins": 1 if pair.target == 1 else 2}
        for pair in reports_world.make_pairs(0, count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
