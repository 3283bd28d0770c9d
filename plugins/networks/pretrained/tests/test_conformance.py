import torch
from dougong.testing import NetworkConformance
from transformers import AutoModelForCausalLM, GPT2Config, MambaConfig, Qwen3Config


class Checkpoint(NetworkConformance):
    """A folder that transformers wrote, of a random network."""

    name = "network.pretrained"
    config = None

    def parameters(self):
        path = self.folder / "checkpoint"
        if not path.exists():
            torch.manual_seed(0)
            AutoModelForCausalLM.from_config(self.config).save_pretrained(path)
        return {"path": str(path), **self.params}

    def expected(self, network, inputs):
        """transformers' own model with these weights."""
        from dougong_network_pretrained.model import export

        export(network, self.folder / "exported")
        return AutoModelForCausalLM.from_pretrained(self.folder / "exported").eval()(**inputs).logits

    def test_each_is_built_anew(self):
        """Not drawn but read: two have weights of their own, and the same."""
        first, second = (self.build().build() for _ in range(2))
        assert first.config is not second.config
        for one, two in zip(first.parameters(), second.parameters()):
            assert torch.equal(one, two)
            assert one.data_ptr() != two.data_ptr()


class TestQwen3(Checkpoint):
    name = "network.pretrained"
    config = Qwen3Config(
        vocab_size=37,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        intermediate_size=24,
        pad_token_id=0,
    )


class TestGPT2(Checkpoint):
    name = "network.pretrained"
    drops = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}  # the suite compares two runs in training
    config = GPT2Config(vocab_size=37, n_embd=16, n_layer=2, n_head=4, n_positions=64, pad_token_id=0, **drops)
    # Adds the same to all scores of a query: softmax takes it away.
    unused = tuple(f"model.layers.{index}.self_attn.k_proj.bias" for index in range(2))

    def inputs(self, network, batch=3, length=8, left=()):
        """With positions: as in transformers, a network that learns them counts padding where none are given."""
        inputs = super().inputs(network, batch, length, left)
        return inputs | {"position_ids": (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)}


class TestMamba(Checkpoint):
    name = "network.pretrained"
    config = MambaConfig(vocab_size=37, hidden_size=16, num_hidden_layers=2, state_size=4, pad_token_id=0)
