from dougong import Message, Part
from dougong.testing import HashEmbedder, LLMConformance


def asks(question, *passages):
    quoted = [Part(text, "data", str(number)) for number, text in enumerate(passages, 1)]
    return (Message("user", (*quoted, Part(question))),)


class TestExtractive(LLMConformance):
    name = "llm.extractive"
    golden = (
        (asks("How long do refunds take?", "We ship daily. Refunds take one week.", "The sky is blue."),
         "“Refunds take one week.” [1]"),
        (asks("屋檐的重量由什么传给柱子？", "天是蓝的。", "屋檐的重量由斗拱传给柱子。"),
         "“屋檐的重量由斗拱传给柱子。” [2]"),
        (asks("Who wrote it?"), "The documents do not answer this."),
        (asks("谁写的？", "zebra"), "文档没有回答这个问题。"),
        (asks("Who?", "zebra"), "Nothing.", {"declined_en": "Nothing."}),
    )  # fmt: skip


class TestExtractiveWithAnEmbedder(LLMConformance):
    name = "llm.extractive"
    params = {"embedder": HashEmbedder()}
