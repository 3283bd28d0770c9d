"""chunker.semantic-rules keeps the contract of its kind."""

from dougong.testing import ChunkerConformance


class TestSemanticRules(ChunkerConformance):
    name = "chunker.semantic-rules"
    params = {"size": 40, "minimum": 10}
    maximum = 40
    tokenizer = {"use": "words"}


class TestSemanticRulesOfCharacters(ChunkerConformance):
    name = "chunker.semantic-rules"
    params = {"size": 24, "minimum": 5, "tokenizer": {"use": "characters"}}
    maximum = 24
    tokenizer = {"use": "characters"}
