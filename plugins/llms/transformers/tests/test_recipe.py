"""The recipe of docs/, with a tiny random network in the place of its user's."""

from pathlib import Path

import dougong

RECIPE = Path(__file__).parents[4] / "docs" / "recipes" / "local-model.yaml"


def test_the_recipe_runs(checkpoint, tmp_path):
    """The network reads the passages that were found; what it says of them means nothing, its weights are random."""
    changes = {"model.folder": str(checkpoint), "model.max_tokens": 16, "library.path": str(tmp_path / "library")}
    with dougong.load(RECIPE, set={**changes, "model.context": 100_000}) as assembly:
        assembly["library"].sync()
        answer = assembly.run("When was the Yingzao Fashi printed?")
    assert answer.usage.model_calls >= 1
    assert answer.usage.input_tokens > 200
    assert 1 <= answer.usage.output_tokens <= 16 * answer.usage.model_calls


def test_a_second_model_wears_another_adapter_in_one_config(checkpoint, tmp_path):
    config = tmp_path / "two.yaml"
    config.write_text(
        f"base: {{use: llm.transformers, folder: {checkpoint}, max_tokens: 8}}\n"
        "main: {use: pattern.prompt, llm: {use: adapted, of: {ref: base}}}\n",
        "utf-8",
    )
    with dougong.load(config) as assembly:
        assert assembly.run("你好").usage.output_tokens <= 8
