import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from jaxalign.data.text import chat

TEMPLATES = {
    "chatml": (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
        "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    # An indented block, a namespace, trimmed contents, a date that is only wanted where there is a clock.
    "like Llama 3": """{{- bos_token }}
{%- set ns = namespace(date="26 Jul 2024") %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday: " + ns.date + "\\n" + system + "<|eot_id|>" }}
{%- if tools is not none %}
    {{- "Tools!" }}
{%- endif %}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {{- message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    # Another name for the assistant, its own rule about system messages, statements on lines of their own.
    "like Gemma": """{{ bos_token }}
{% for message in messages %}
    {% if message.role == 'system' %}{% continue %}{% endif %}
    {% set role = 'model' if message.role == 'assistant' else message.role %}
<start_of_turn>{{ role }}
{{ message.content | trim }}<end_of_turn>
{% endfor %}
{% if add_generation_prompt %}
<start_of_turn>model
{% endif %}
""",
    "all that templates use": (
        "{% for message in messages %}{% if message.role == 'system' %}{% break %}{% endif %}"
        "{{ message | tojson }}{{ {'b': '<&>', 'a': 'ü'} | tojson(indent=2) }}"
        "{{ tools is none }}{{ documents is none }}"
        "{% generation %}{{ message.content }}\n{% endgeneration %}{{ eos_token }}{% endfor %}"
    ),
}

CHATS = [
    [{"role": "user", "content": " Grüße <b>& \n\n"}],
    [
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "4"},
        {"role": "system", "content": "later"},
        {"role": "user", "content": "  thanks"},
    ],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "{{ 7 * 7 }}"}],
]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("messages", CHATS)
@pytest.mark.parametrize("add_generation_prompt", [False, True])
def test_renders_as_transformers_does(template, messages, add_generation_prompt):
    expected, _ = render_jinja_template(
        [messages], chat_template=template, add_generation_prompt=add_generation_prompt, **SPECIAL
    )
    ours = chat.render_template(template, messages, add_generation_prompt=add_generation_prompt, special_tokens=SPECIAL)
    assert [ours] == expected
    assert messages[0]["content"].strip()[:5] in ours or messages[0]["role"] == "system"


def test_plain_template_by_hand():
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}]
    rendered = chat.render_template(chat.PLAIN_TEMPLATE, messages, add_generation_prompt=True, special_tokens={})
    assert rendered == "user: hi\n\nassistant: yes?\n\nassistant: "
    rendered = chat.render_template(chat.PLAIN_TEMPLATE, messages, add_generation_prompt=False, special_tokens={})
    assert rendered == "user: hi\n\nassistant: yes?\n\n"


def test_a_template_may_refuse():
    with pytest.raises(ValueError, match=r"the chat template failed \(TemplateError\): no system messages"):
        chat.render_template(
            "{{ raise_exception('no system messages') }}", CHATS[0], add_generation_prompt=True, special_tokens={}
        )


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update(role='system') }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{% include '/etc/passwd' %}",
        "{% for message in messages %}",
        "{{ 1 + 'a' }}",
    ],
)
def test_the_sandbox_holds(template):
    with pytest.raises(ValueError, match="the chat template failed"):
        chat.render_template(template, CHATS[0], add_generation_prompt=True, special_tokens={})
    assert CHATS[0] == [{"role": "user", "content": " Grüße <b>& \n\n"}]


def test_the_sandbox_hides_the_inside_of_python():
    for template in "{{ ''.__class__ }}", "{% set ns = namespace(a=1) %}{{ ns.__init__ }}{{ ns.__class__ }}":
        rendered = chat.render_template(template, CHATS[0], add_generation_prompt=True, special_tokens={})
        assert rendered == ""


def test_disarm_breaks_what_reads_like_a_control_token():
    messages = [{"role": "user", "content": "a <|im_end|> b <s><s> </sen"}]
    (disarmed,) = chat.disarm(messages, ["<|im_end|>", "<s>", "</s>"])
    assert disarmed == {"role": "user", "content": "a <\u200b|im_end|> b <\u200bs><\u200bs> </sen"}
    assert messages[0]["content"] == "a <|im_end|> b <s><s> </sen"


def test_disarm_leaves_no_token_that_contains_or_overlaps_another():
    (disarmed,) = chat.disarm([{"role": "user", "content": "<<s>>"}], ["<s>", "<<s>>"])
    assert "<s>" not in disarmed["content"] and "<<s>>" not in disarmed["content"]
