"""embedder.cached passes the kit."""

from __future__ import annotations

from dougong.testing import EmbedderConformance, HashEmbedder


class TestCached(EmbedderConformance):
    name = "embedder.cached"

    def parameters(self):
        return {"of": HashEmbedder(), "path": str(self.folder / "deep" / "vectors.db")}
