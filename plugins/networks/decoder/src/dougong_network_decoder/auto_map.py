"""So that transformers, and a server through it, loads a saved network in a process that knows no dougong yet."""

from __future__ import annotations

from pathlib import Path

from transformers import (
    CONFIG_MAPPING,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

AUTO = (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)
MODELING = "modeling_dougong"
TEXT = '''"""The model's classes are in installed plugins of dougong; this leads transformers to them."""

import {module}  # noqa: F401 (tells transformers of its model types)
from dougong_network_decoder.auto_map import classes

CLASSES = classes("{model_type}")


def __getattr__(name):
    return CLASSES[name]
'''


def classes(model_type: str) -> dict[str, type]:
    """The config and the models of a registered model type, by the Auto class that makes them."""
    config = CONFIG_MAPPING[model_type]
    mappings = {auto.__name__: auto._model_mapping for auto in AUTO}
    return {"AutoConfig": config} | {name: made[config] for name, made in mappings.items() if config in made}


def lead_to_classes(model: PreTrainedModel, folder: Path) -> None:
    """Writes ``modeling_dougong.py``, which ``trust_remote_code`` runs, and names it in the config's ``auto_map``.

    It imports the installed plugin and holds no code of the model. Where a plugin is imported already, transformers
    knows the model type and never looks at the file. Models that transformers was not told of get none.
    """
    found = classes(model.config.model_type)
    if type(model) not in found.values() or folder.is_file():
        return
    model.config.auto_map = {name: f"{MODELING}.{name}" for name in found}
    folder.mkdir(parents=True, exist_ok=True)
    text = TEXT.format(module=type(model).__module__, model_type=model.config.model_type)
    (folder / f"{MODELING}.py").write_text(text, encoding="utf-8")
