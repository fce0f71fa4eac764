"""One question and its answers in the forms that data sets write, for the tests of layouts."""

from jaxalign import data


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


ASKED, ANSWERED = [user("1 + 1?")], [user("1 + 1?"), assistant("2")]
PAIR, CHAT_PAIR = (data.PreferenceRecord.from_pair(prompt, "2", "3") for prompt in ("1 + 1?", tuple(ASKED)))
SHAREGPT = [{"from": "human", "value": "1 + 1?"}, {"from": "gpt", "value": "2"}]
H, A = "\n\nHuman: ", "\n\nAssistant: "


def record(prompt="1 + 1?", responses=("2", "3"), labels=(0.75, 0.25), **fields):
    return data.PreferenceRecord(prompt, responses, labels, **fields)


def texts(**columns):
    """A row that asks, with what is given."""
    return {"prompt": "1 + 1?"} | columns
