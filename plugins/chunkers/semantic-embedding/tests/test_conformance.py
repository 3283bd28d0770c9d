"""chunker.semantic-embedding and chunker.semantic-cluster keep the contract of their kind."""

from dougong.testing import ChunkerConformance, HashEmbedder


class TestSemanticEmbedding(ChunkerConformance):
    name = "chunker.semantic-embedding"
    params = {"size": 40, "minimum": 10, "embedder": HashEmbedder()}
    maximum = 40
    tokenizer = {"use": "words"}


class TestEveryDistanceACut(ChunkerConformance):
    name = "chunker.semantic-embedding"
    params = {
        "threshold": "absolute",
        "amount": 1.0,
        "size": 24,
        "minimum": 6,
        "embedder": HashEmbedder(),
        "tokenizer": {"use": "characters"},
    }
    maximum = 24
    tokenizer = {"use": "characters"}


class TestSemanticCluster(ChunkerConformance):
    name = "chunker.semantic-cluster"
    params = {"size": 40, "piece": 10, "embedder": HashEmbedder()}
    maximum = 40
    tokenizer = {"use": "words"}
