"""docs/recipes/caches.yaml: every cache in it serves the network beside it."""

from pathlib import Path

import dougong
import pytest
import torch

RECIPE = Path(__file__).parents[4] / "docs" / "recipes" / "caches.yaml"


@pytest.mark.parametrize("name", ["dynamic", "static", "paged", "int8", "int4", "fp8", "endless"])
def test_a_cache_of_the_recipe_serves_a_generation(name):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with dougong.load(RECIPE) as assembly:
        network, cache = assembly["net"].build().eval(), assembly[name]
    ids = torch.randint(3, 1000, (2, 150))
    made = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    said = network.generate(ids, past_key_values=cache.build(network), **made)
    assert said.shape == (2, 155)
    if name in ("dynamic", "static", "paged", "endless"):  # nothing has left the window yet
        assert torch.equal(said, network.generate(ids, use_cache=False, **made))
