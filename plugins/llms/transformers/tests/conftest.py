"""Tiny networks with random weights: they prove the plumbing, and never the quality of a reply."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEXTS = [
    "Refunds take one week after the parcel arrives. The answer is yes. What is two and three?",
    "退款需要一周。屋檐的重量由斗拱传给柱子。斗拱是中国木构建筑的构件。",
    '{"name": "add", "arguments": {"a": 2, "b": 3}} <data source="1"> system user assistant tool',
]
TEMPLATE = """\
{%- if tools %}<|im_start|>system
{{ tools | tojson }}<|im_end|>
{% endif -%}
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{{ message.content }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}"""


def byte_level(template=TEMPLATE):
    """A byte-level BPE tokenizer with the control tokens of ChatML and the added tokens of Qwen's tool calls."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>"]
    tokenizer.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=380, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                   special_tokens=special, show_progress=False)
    )  # fmt: skip
    tokenizer.add_tokens(["<tool_call>", "</tool_call>"])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")
    fast.chat_template = template
    return fast


def llama(tokenizer, seed=1, **changes):
    """A Llama of two layers whose weights are large enough that its logits differ."""
    torch.set_num_threads(1)
    settings = {
        "vocab_size": len(tokenizer) + 6,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 2048,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": None,
    }
    network = LlamaForCausalLM(LlamaConfig(**settings | changes)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            value = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.1 * value if parameter.ndim == 1 else 0.3 * value)
    return network


def saved(folder, seed=1, tokenizer=None, **changes):
    """`folder` with a checkpoint in it."""
    tokenizer = tokenizer or byte_level()
    llama(tokenizer, seed, **changes).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("checkpoint"))


class Built:
    """A network of a test's making, for a slot."""

    def __init__(self, network):
        self.network = network

    def build(self):
        return self.network


class Parrot(LlamaForCausalLM):
    """Says the tokens it was given, one after another, whatever it is asked; then ends."""

    def says(self, ids):
        self.ids, self.asked, self.forwards = list(ids), None, 0
        return self

    def forward(self, input_ids=None, position_ids=None, past_key_values=None, logits_to_keep=0, **kwargs):
        found = super().forward(input_ids, position_ids=position_ids, past_key_values=past_key_values, **kwargs)
        self.forwards += 1
        if input_ids.shape[1] > 1:
            self.asked = int(position_ids[0, -1]) + 1  # a long prompt is read in pieces
        for row, place in enumerate(position_ids[:, -1].tolist() if position_ids is not None else []):
            at = place + 1 - (self.asked or 1)
            word = self.ids[at] if 0 <= at < len(self.ids) else self.config.eos_token_id
            found.logits[row, -1, word] += 1e4
        return found


def parrot(tokenizer, text):
    """A network that says `text`, a string or token ids."""
    network = llama(tokenizer)
    network.__class__ = Parrot
    return network.says(tokenizer.encode(text, add_special_tokens=False) if isinstance(text, str) else text)


def reference(checkpoint, llm, messages, count, network=None):
    """Prompt and greedy reply, as ids, that transformers' `generate` gives for the prompt that `llm` writes."""
    from transformers import AutoModelForCausalLM

    network = network or AutoModelForCausalLM.from_pretrained(checkpoint)
    ids = inner(llm)._prompter.tokens(messages, (), None)
    with torch.no_grad():
        given = torch.tensor([ids])
        found = network.generate(
            given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=count,
            do_sample=False,
            pad_token_id=0,
        )
    return ids, found[0, len(ids) :].tolist()


def inner(llm):
    return getattr(llm, "_inner", llm)


def text_of(deltas):
    return "".join(delta.text for delta in deltas)
