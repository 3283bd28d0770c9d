"""embedder.sentence-transformers passes the kit over a tiny random BERT."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from dougong.testing import EmbedderConformance

_spec = importlib.util.spec_from_file_location("tiny_model", Path(__file__).with_name("conftest.py"))
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
tiny_model = _module.tiny_model


class TestTiny(EmbedderConformance):
    name = "embedder.sentence-transformers"
    refused = ({"model": ""}, {"batch": 0}, {"dim": 0})
    accepted = ({"batch": 1}, {"dim": 1})
    alike = ()  # its weights are random

    def parameters(self):
        folder = self.folder / "tiny"
        return {"model": str(folder if folder.exists() else tiny_model(folder)), "device": "cpu"}
