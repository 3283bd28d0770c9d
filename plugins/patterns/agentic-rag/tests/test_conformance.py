import json

from dougong.testing import PatternConformance


def decisions(messages, schema):
    """What the kit's model decides: the step is known by what its schema asks for."""
    data = [part for message in messages for part in message.parts if part.kind == "data"]
    asked = set(schema["properties"])
    if "kind" in asked:
        return {"kind": "multi", "source": "", "tool": "", "ask": ""}
    if "steps" in asked:
        steps = ("Which bracket? 哪种斗拱？", "How does #1 carry the roof?")
        return {"steps": [{"id": n, "question": q, "source": "kit"} for n, q in enumerate(steps, 1)]}
    if "grades" in asked:
        return {"grades": [{"passage": int(p.source), "relevant": True} for p in data if p.source.isdigit()]}
    if "quote" in asked:
        return {"answer": "a dougong", "passage": 1, "quote": "A dougong is a bracket of interlocking blocks"}
    if "sufficient" in asked:
        return {"sufficient": True, "missing": ""}
    if "claims" in asked:
        claims = [p for p in data if p.source.startswith("claim")]
        return {"claims": [{"claim": n, "supported": True} for n in range(1, len(claims) + 1)]}
    raise AssertionError(f"no decision for {asked}")


ROUTE = '{"kind": "%s", "source": "", "tool": "", "ask": ""}'
GRADES = json.dumps({"grades": [{"passage": n, "relevant": n == 2} for n in (1, 2, 3)]})
ENOUGH = '{"sufficient": true, "missing": ""}'
CLAIMS = '{"claims": [{"claim": 1, "supported": true}]}'


class TestAgenticRAG(PatternConformance):
    name = "pattern.agentic-rag"
    golden = (
        (("Hello!", [ROUTE % "none", "Good morning."], "status", "text", "calls"),
         ["answered", "Good morning.", ["llm", "llm"]]),
        (("如何？", [ROUTE % "single", GRADES, ENOUGH, "受力「把屋檐的重量传给柱子」 [1]。多余。", CLAIMS],
          "status", "text", "quotes", "lines", "paths", "data"),
         ["answered", "受力「把屋檐的重量传给柱子」 [1]。", ["把屋檐的重量传给柱子"], [5],
          ["0", "1[0].0", "2[0].0", "4", "5", "6"],
          {"route": "single", "corrections": [{"cause": "unsupported claim", "action": "drop"}], "degraded": [],
           "dropped": [{"text": "多余。", "fault": "no-quote"}],
           "steps": [{"id": 1, "question": "如何？", "answer": "", "queries": [["kit", "如何？"]], "passages": 1}]}]),
        (("How?", ["“It carries the roof of a hall.” [1]"], "status", "text", "calls", "asked"),
         ["answered", "“It carries the roof of a hall.” [1]", ["retriever", "llm"],
          [["system", "Quote. Else: No."],
           ["user", "A dougong is a bracket of interlocking blocks. It carries the roof of a hall.\nHow?"]]],
         {"decide": False, "k": 1, "prompts_en": {"answer": "Quote. Else: {declined}", "declined": "No."}}),
    )  # fmt: skip
    refused = ({"k": 0}, {"hops": 0}, {"questions": 0}, {"rewrites": -1}, {"turns": 0})
    accepted = ({"k": 1}, {"hops": 1}, {"questions": 1}, {"rewrites": 0}, {"turns": 1})

    def reply(self, messages, tools, schema):
        if schema is not None:
            return json.dumps(decisions(messages, schema))
        return super().reply(messages, (), schema)

    def parameters(self):
        return {**super().parameters(), "memory": str(self.folder / "memory")}
