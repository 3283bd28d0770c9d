"""Checkpoint folders as networks out of blocks."""

from pathlib import Path
from typing import Literal

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """
    path: a folder with config.json and safetensors, as transformers saves it. Nothing is downloaded.
    through: ``blocks`` assembles it, for families that have a map; ``auto`` loads whatever transformers knows as it is.
    dtype: of the weights; ``auto`` is what the checkpoint says.
    """

    path: Path
    through: Literal["blocks", "auto"] = "blocks"
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "float32"


@hookimpl
def dougong_networks() -> list[Technique]:
    return [
        Technique(
            "pretrained",
            Params,
            "dougong_network_pretrained.model:Pretrained",
            summary="A checkpoint of GPT-2, BERT, Llama, Mistral, Mixtral, Qwen, Mamba or RWKV as blocks, keys kept.",
            source="transformers 5: the key names of its models; Radford 2019, Devlin 2019, Touvron 2023, Yang 2025",
        )
    ]
