"""docs/recipes/moe.yaml: every network in it is built, trains and generates."""

from pathlib import Path

import dougong
import pytest
import torch

RECIPE = Path(__file__).parents[4] / "docs" / "recipes" / "moe.yaml"


@pytest.mark.parametrize("name", ["mixtral", "switch", "fairseq", "upcycled"])
def test_every_network_trains_with_its_routers_losses_and_generates(name):
    torch.set_num_threads(1)
    network = dougong.load(RECIPE)[name].build().train()
    ids = torch.randint(0, 32000, (2, 6))
    out = network(ids, labels=ids)
    out.loss.backward()
    assert out.aux_loss > 0
    assert network.eval().generate(ids, max_new_tokens=2, do_sample=False).shape == (2, 8)
