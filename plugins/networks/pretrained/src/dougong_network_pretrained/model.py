"""A checkpoint's weights in blocks: transformers' weight conversions, fed with the maps in ``families``."""

from __future__ import annotations

import importlib
import json
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import dougong_network_decoder.model as decoder
import dougong_network_encoder.model as encoder
from dougong import BuildError
from dougong.assemble import make
from dougong_network_decoder.auto_map import MODELING
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import Chunk, Transpose, WeightConverter, WeightRenaming

from dougong_network_pretrained import Params

FAMILIES: dict[str, ModuleType] = {
    name: importlib.import_module(f"dougong_network_pretrained.families.{name}")
    for name in ("bert", "gpt2", "llama", "mamba", "mistral", "mixtral", "qwen2", "qwen3", "rwkv")
}
# By network: its technique, config, body and head, and the Auto class of the head.
NETWORKS: dict[str, tuple[Any, Any, Any, Any, Any]] = {
    "network.decoder": (
        decoder.Decoder,
        decoder.DecoderConfig,
        decoder.DecoderModel,
        decoder.DecoderForCausalLM,
        AutoModelForCausalLM,
    ),
    "network.encoder": (
        encoder.Encoder,
        encoder.EncoderConfig,
        encoder.EncoderModel,
        encoder.EncoderForMaskedLM,
        AutoModelForMaskedLM,
    ),
}
# from_pretrained replaces functions of transformers while it runs (tie_weights, for one). Two threads in it at once can
# leave them replaced for good.
_LOADING = threading.Lock()
OPERATIONS = {
    "transposed": lambda: [Transpose(0, 1)],
    "split": lambda: [Chunk(0)],
    "transposed-split": lambda: [Transpose(0, 1), Chunk(0)],
}


def conversion(theirs: str, ours: str | list[str], how: str | None = None) -> WeightRenaming | WeightConverter:
    """One line of a family's map in transformers' form, which also turns it back for saving."""
    return WeightConverter(theirs, ours, OPERATIONS[how]()) if how else WeightRenaming(theirs, ours)


class Pretrained:
    """The technique: a folder to a model with its weights."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def build(self) -> PreTrainedModel:
        """Reads the folder; each call gives a model of its own.

        Raises BuildError where there is no checkpoint, where its family has no map or uses what blocks do not have,
        and where weights are missing or left over.
        """
        path = self.params.path
        if not (path / "config.json").is_file():
            raise BuildError(f"{path} holds no config.json", hint="name the folder of a checkpoint, downloaded before")
        if not (held := sorted(path.glob("*.safetensors"))):
            raise BuildError(
                f"{path} holds no safetensors", hint="convert the checkpoint; pickled weights are not read"
            )
        try:
            config = AutoConfig.from_pretrained(path, local_files_only=True)
            if self.params.through == "auto":
                return self._load(_auto(config), config)
            head, ours = assembled(config, _keys(held))
            return self._load(head, ours)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise BuildError(f"{path} cannot be read: {error}", hint="is the checkpoint complete?") from error

    def _load(self, cls: Any, config: PreTrainedConfig) -> PreTrainedModel:
        with _LOADING:
            network, found = cls.from_pretrained(
                self.params.path,
                config=config,
                dtype=self.params.dtype,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
        for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            if found[what]:
                names = ", ".join(sorted(map(str, found[what]))[:5])
                raise BuildError(
                    f"{self.params.path}: {what.replace('_', ' ')}: {names}", hint="is it a checkpoint of this family?"
                )
        return network


def assembled(config: PreTrainedConfig, keys: set[str]) -> tuple[Any, PreTrainedConfig]:
    """The model class and the config of a checkpoint out of blocks; `keys` are the names of its weights."""
    kind = config.model_type
    if isinstance(config, (decoder.DecoderConfig, encoder.EncoderConfig)):  # saved by us
        network = "network.decoder" if isinstance(config, decoder.DecoderConfig) else "network.encoder"
        family = MODELS.get(kind.removeprefix("dougong_"))
        return (family[1] if family else NETWORKS[network][3]), config
    if kind not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise BuildError(f"no map for checkpoints of {kind!r}; there is one of {known}", hint="set through: auto")
    family = FAMILIES[kind]
    if used := [name for name, is_used in family.unlike(config).items() if is_used]:
        raise BuildError(f"blocks have no {', '.join(used)}, which this {kind} uses", hint="set through: auto")
    tree = family.tree(config) | {
        "use": family.NETWORK,
        "vocab": config.vocab_size,
        "width": config.hidden_size,
        "initializer_range": getattr(config, "initializer_range", 0.02),
        "tie_embeddings": config.tie_word_embeddings,
    }
    if family.NETWORK == "network.encoder":
        tree["pooler"] = any("pooler" in key for key in keys)
    made = make(tree).build_config()
    made.train_pad_embedding = getattr(family, "TRAINS_PAD", False)
    for name in ("bos", "eos", "pad"):  # some are lists, or beyond the vocabulary: taken over as they are
        setattr(made, f"{name}_token_id", getattr(config, f"{name}_token_id"))
    ours = MODELS[kind][0](
        **{k: v for k, v in made.to_dict().items() if k != "model_type"}, original=config.to_diff_dict()
    )
    return MODELS[kind][1], ours


def export(network: PreTrainedModel, folder: str | Path) -> None:
    """Writes `network` as its family saves it, config included: plain transformers loads the folder."""
    original = getattr(network.config, "original", None)
    if original is None:
        raise BuildError("this network is of no family", hint="save_pretrained saves it as blocks")
    network.save_pretrained(folder)
    (Path(folder) / f"{MODELING}.py").unlink()  # leads to blocks
    config = dict(original) | {"vocab_size": network.config.vocab_size}
    text = json.dumps(config, indent=2, sort_keys=True, default=str) + "\n"
    (Path(folder) / "config.json").write_text(text, encoding="utf-8")


def _keys(files: list[Path]) -> set[str]:
    names: set[str] = set()
    for file in files:
        with safe_open(file, "pt") as opened:
            names.update(opened.keys())
    return names


def _auto(config: PreTrainedConfig) -> Any:
    return AutoModelForCausalLM if type(config) in AutoModelForCausalLM._model_mapping else AutoModelForMaskedLM


def _register(name: str, family: ModuleType) -> tuple[Any, Any]:
    """A model type a family, so that transformers finds its map: the config and the head."""
    _, config, body, head, auto = NETWORKS[family.NETWORK]
    kind = f"dougong_{name}"
    described = {"model_type": kind, "__module__": __name__, "__annotations__": {"original": dict[str, Any] | None}}
    config = type(f"Assembled{name.title()}Config", (config,), {**described, "original": None})
    classes = []
    for cls in (body, head):
        ignored = {"_keys_to_ignore_on_load_unexpected": family.IGNORED}
        classes.append(type(cls.__name__, (cls,), {"config_class": config, "__module__": __name__, **ignored}))
    AutoConfig.register(kind, config)
    AutoModel.register(config, classes[0])
    auto.register(config, classes[1])
    register_checkpoint_conversion_mapping(kind, [conversion(*line) for line in family.KEYS])
    return config, classes[1]


MODELS = {name: _register(name, family) for name, family in FAMILIES.items()}
