"""Reward models as the hub has them read a chat at its last rendered token: ``tools.score`` equals transformers.

A randomly initialised classifier for each style of template; the reward of an answer must be transformers' logit for
``apply_chat_template`` of the chat with the answer, whatever the template writes behind it.
"""

import json

import pytest
import torch
import transformers

from tests.data import chat_styles
from tools import score

CHAT, ANSWERS = [{"role": "user", "content": "hi"}], ["good", "bad", "a longer one\n"]
STYLES = {
    "ChatML": chat_styles.STYLES["ChatML"],
    "Gemma": chat_styles.STYLES["Gemma"],
    "Llama 2": chat_styles.STYLES["Llama 2"],
    "ChatML with generation tags": chat_styles.MARKED["ChatML"],
}


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_rewards_are_read_where_transformers_reads_them(style, tmp_path):
    torch.manual_seed(0)
    sizes = dict(vocab_size=300, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2)
    config = transformers.Qwen2Config(**sizes, num_key_value_heads=1, pad_token_id=0, num_labels=1)
    model = transformers.Qwen2ForSequenceClassification(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.25 * torch.randn(parameter.shape))
    model.save_pretrained(chat_styles.save(style, tmp_path / "model"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": CHAT, "responses": ANSWERS}))
    score.main(
        str(tmp_path / "model"), tmp_path / "rows.jsonl", tmp_path / "out.jsonl", max_prompt=150, max_response=60
    )
    rewards = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])["rewards"]
    for reward, answer in zip(rewards, ANSWERS, strict=True):
        chat = [*CHAT, {"role": "assistant", "content": answer}]
        ids = tokenizer.apply_chat_template(chat, return_dict=False)
        with torch.no_grad():
            assert reward == pytest.approx(float(model(torch.tensor([ids])).logits), abs=2e-5)
