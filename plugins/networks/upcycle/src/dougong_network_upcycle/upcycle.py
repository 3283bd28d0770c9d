"""Komatsuzaki et al. 2023, https://arxiv.org/abs/2212.05055."""

from __future__ import annotations

import copy
import warnings
from typing import Any

from dougong import BuildError
from dougong.assemble import origin
from dougong_block_moe.moe import MoE
from transformers import PreTrainedModel

from dougong_network_upcycle import Params


class Upcycle:
    """The technique (section 3): every expert starts as the dense network's feed-forward part, the router at random.

    Where the router's gates sum to 1, the network computes what the dense one does, until it is trained.
    """

    def __init__(self, params: Params) -> None:
        self.params = params

    def build(self) -> PreTrainedModel:
        """The sparse network; `of` is built anew at each call. Raises BuildError where it has no slot ``ffn``."""
        dense = self.params.of.build()
        blocks = copy.deepcopy(getattr(dense.config, "blocks", None) or {})
        found = origin(self.params.router)
        if found is None:
            raise BuildError("router: made by hand, it could not be saved", hint="name a technique: {'use': ...}")
        experts = {"use": "block.moe", "experts": self.params.experts, "router": dict(found.params)}
        if not self._replace(blocks, experts):
            raise BuildError("the dense network has no slot 'ffn'", hint="assemble it of block.transformer")
        # A family of network.pretrained has key names of its own, which know no experts: saved as plain blocks.
        family = hasattr(dense.config, "original")
        cls: Any = type(dense).__mro__[1] if family else type(dense)
        left_out = {"model_type", "original", "blocks", "architectures", "transformers_version"}
        settings = {key: value for key, value in dense.config.to_dict().items() if key not in left_out}
        sparse = cls(cls.config_class(**settings, blocks=blocks)).to(dense.dtype)
        sparse.train(dense.training)
        _copy(dense, sparse)
        if not all(block.gate.normalised for block in sparse.modules() if isinstance(block, MoE)):
            warnings.warn(
                "gates of this router do not sum to 1: the network does not start as the dense one", stacklevel=2
            )
        return sparse

    def _replace(self, tree: Any, experts: dict[str, Any]) -> int:
        """Puts experts into every slot ``ffn`` below `tree`; how many there were."""
        if not isinstance(tree, (dict, list)):
            return 0
        if isinstance(tree, list):
            return sum(self._replace(item, experts) for item in tree)
        count = 0
        for name, part in tree.items():
            if name == "ffn" and isinstance(part, dict):
                count += 1
                sparse = copy.deepcopy(experts) | {"expert": part}
                dense = [copy.deepcopy(part) for _ in range(self.params.every - 1)]
                tree[name] = {"use": "block.cycle", "of": [*dense, sparse]} if dense else sparse
            else:
                count += self._replace(part, experts)
        return count


def _copy(dense: PreTrainedModel, sparse: PreTrainedModel) -> None:
    """The weights of `dense`, those of a feed-forward part to each of the experts in its place."""
    missing, unexpected = sparse.load_state_dict(dense.state_dict(), strict=False)
    blocks = {name: module for name, module in sparse.named_modules() if isinstance(module, MoE)}
    for name, block in blocks.items():
        weights = dense.get_submodule(name).state_dict()
        for expert in block.experts:
            expert.load_state_dict(weights)
    under = tuple(f"{name}." for name in blocks)
    if wrong := [key for key in (*missing, *unexpected) if not key.startswith(under)]:
        raise BuildError(f"the sparse network has other weights than the dense one: {', '.join(wrong[:5])}")
