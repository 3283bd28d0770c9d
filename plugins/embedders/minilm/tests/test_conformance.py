"""embedder.minilm keeps the contract of its kind."""

from dougong.testing import EmbedderConformance


class TestMiniLM(EmbedderConformance):
    name = "embedder.minilm"
    # First numbers of the vectors that sentence-transformers 6.2 gives.
    golden = (
        (
            "The brackets of timber building join columns and beams without a nail.",
            [-0.0243551, 0.0980743, -0.0594263, -0.0210377, 0.003666, -0.0570878],
        ),
        (
            "斗拱是中国古代建筑特有的构件，位于柱与梁之间。",
            [-0.042036, 0.0915701, 0.0018402, 0.0009802, -0.0609312, -0.0631215],
        ),
        ("", [-0.1188383, 0.0482987, -0.0025481, -0.0110112, 0.0519508, 0.0102917]),
        ("word " * 400, [-0.0081237, -0.095586, -0.0386731, 0.049662, -0.0437937, 0.0237198]),
        ("👨‍👩‍👧 e\u0301 \0 ﬁ", [0.0096726, 0.0638971, 0.0671921, 0.0053146, -0.0027427, 0.0124988]),
    )

    def answer(self, built, given):
        return built.embed([given])[0, :6]


class TestMiniLMWithCache(EmbedderConformance):
    name = "embedder.minilm"

    def parameters(self):
        return {"cache": str(self.folder / "vectors.db")}
