"""embedder.openai passes the kit, with numbers and with base64."""

from __future__ import annotations

import pytest
from dougong.testing import EmbedderConformance


class TestFloats(EmbedderConformance):
    name = "embedder.openai"
    refused = (
        {"model": ""}, {"base_url": "example.com"}, {"base_url": "http://u:p@h/v1"}, {"base_url": "http://h/embeddings"},
        {"dim": 0}, {"batch": 0}, {"batch_tokens": 0}, {"timeout": 0}, {"max_retries": -1}, {"extra": {"input": 1}},
    )  # fmt: skip
    accepted = ({"dim": 1}, {"batch": 1}, {"batch_tokens": 1}, {"timeout": 0.1}, {"max_retries": 0})

    @pytest.fixture(autouse=True)
    def _serve(self, server):
        self.server = server

    def parameters(self):
        return {**self.params, "model": "m", "base_url": self.server.url}

    def test_another_process_does_the_same(self):
        """What it does is the server's doing, and the server is of this process."""


class TestBase64(TestFloats):
    params = {"encoding": "base64", "batch": 3, "dim": 64}
