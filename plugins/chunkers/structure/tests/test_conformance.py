"""chunker.structure keeps the contract of its kind."""

from dougong.testing import ChunkerConformance


class TestStructure(ChunkerConformance):
    name = "chunker.structure"
    params = {"size": 40, "minimum": 10}
    maximum = 40
    tokenizer = {"use": "words"}


class TestStructureOfCharacters(ChunkerConformance):
    name = "chunker.structure"
    params = {"size": 24, "minimum": 5, "code": "lines", "tokenizer": {"use": "characters"}}
    maximum = 24
    tokenizer = {"use": "characters"}
