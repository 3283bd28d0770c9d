import pytest
import torch
from dougong_block_cycle import Params
from dougong_block_cycle.cycle import cycle


def test_layers_take_their_blocks_in_turn_and_pass_on_how_it_is_made():
    made = []

    def builder(name):
        return lambda config, layer_idx, **how: made.append((name, layer_idx, how)) or torch.nn.Identity()

    params = Params(of=[builder("a"), builder("b"), builder("c")])
    for index in (0, 1, 2, 3, 4):
        cycle(params, None, index)
    cycle(params, None, None, width=6)
    assert [name for name, *_ in made] == list("abcaba")
    assert made[-1] == ("a", None, {"width": 6})


def test_a_cycle_of_nothing_is_refused():
    with pytest.raises(ValueError, match="of"):
        Params(of=[])
