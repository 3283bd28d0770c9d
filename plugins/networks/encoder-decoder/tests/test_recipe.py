"""docs/recipes/networks.yaml: every network in it is built and computes."""

from pathlib import Path

import dougong
import pytest
import torch

RECIPE = Path(__file__).parents[4] / "docs" / "recipes" / "networks.yaml"


@pytest.mark.parametrize("name", ["llama", "gpt2", "windows", "bert", "translator"])
def test_a_network_of_the_recipe_is_built_and_computes(name):
    torch.set_num_threads(1)
    with dougong.load(RECIPE) as assembly:
        model = assembly[name].build().eval()
    ids = torch.randint(3, 1000, (2, 6))
    given = {"decoder_input_ids": ids} if name == "translator" else {}
    with torch.no_grad():
        logits = model(ids, **given).logits
    assert logits.shape == (2, 6, model.config.vocab_size)
    assert torch.isfinite(logits).all()
    if model.can_generate():
        said = model.generate(ids, max_new_tokens=4, do_sample=False, eos_token_id=None, pad_token_id=0)
        assert said.shape[1] == (5 if name == "translator" else 10)
