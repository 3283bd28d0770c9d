"""Blocks: gradient norms through 128 layers with and without residual and norm (a PNG), and lines of code a plugin.

``--png FILE`` says where the plot goes; the temporary folder if not given.
"""

from __future__ import annotations

import argparse
import ast
import math
import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from _bench import row, skipped
from dougong import make
from torch import nn
from transformers import PreTrainedConfig

DEPTH, WIDTH, LENGTH, SEEDS = 128, 32, 16, 5
LINES = 150
ROOT = Path(__file__).parents[2]
PARTS = {
    "attention": {"use": "attention", "heads": 4, "positions": "none"},
    "ffn": {"use": "ffn", "inner": 4 * WIDTH, "activation": "gelu", "gated": False, "bias": True},
    "norm": {"use": "layernorm"},
}
SCHEMES = {
    "pre-norm, residual": lambda F, norm, x: x + F(norm(x)),
    "post-norm, residual": lambda F, norm, x: norm(x + F(x)),
    "residual, no norm": lambda F, norm, x: x + F(x),
    "norm, no residual": lambda F, norm, x: F(norm(x)),
    "neither": lambda F, norm, x: F(x),
}


def sublayers() -> list[tuple[nn.Module, nn.Module]]:
    """A part and its norm, two a layer, with torch's own fresh weights."""
    build = {name: make("network.decoder", vocab=8, width=WIDTH, layers=1, layer=part).params.layer
             for name, part in PARTS.items()}  # fmt: skip
    config = PreTrainedConfig(hidden_size=WIDTH, max_position_embeddings=LENGTH, num_hidden_layers=DEPTH)
    config._attn_implementation = "sdpa"
    names = ("attention", "ffn") * DEPTH
    return [(build[name](config, at // 2), build["norm"](config, at // 2)) for at, name in enumerate(names)]


def norms_by_depth(scheme: str, seed: int) -> torch.Tensor:
    """``(DEPTH,)``: the norm of all gradients of a layer's linear maps, of a loss on the last layer's states."""
    torch.manual_seed(seed)
    parts, x = sublayers(), torch.randn(4, LENGTH, WIDTH)
    target = torch.randn(4, LENGTH, WIDTH)
    for F, norm in parts:
        x = SCHEMES[scheme](F, norm, x)
    x = nn.functional.layer_norm(x, (WIDTH,))  # so that all schemes have a loss of one size
    (x - target).square().mean().backward()
    found = [torch.stack([p.grad.norm() for p in F.parameters() if p.ndim == 2]).norm() for F, _ in parts]
    return torch.stack(found).view(DEPTH, 2).norm(dim=1)


def gradients(png: Path) -> None:
    curves = {s: torch.stack([norms_by_depth(s, seed) for seed in range(SEEDS)]).median(0).values for s in SCHEMES}
    for scheme, curve in curves.items():
        first, last = curve[:8].median().item(), curve[-8:].median().item()
        name = f"gradient norm, first 8 of {DEPTH} layers: {scheme}"
        if not (math.isfinite(first) and last > 0):
            row(f"{name} (not finite: it overflows float32)", None, "", against="last 8")
            continue
        ratio = first / last
        bar, holds = "", None
        if scheme == "pre-norm, residual":
            bar, holds = "0.01 to 100", 0.01 <= ratio <= 100
        if scheme == "neither":
            bar, holds = "<= 1e-6", ratio <= 1e-6
        row(name, first, "", against="last 8", ratio=ratio, bar=bar, holds=holds)
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        skipped("gradient norms: plot", "no matplotlib; pip install -r requirements-bench.txt")
        return
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for scheme, curve in curves.items():
        axes.semilogy(range(DEPTH), curve.clamp(min=1e-45), label=scheme)
    axes.set_xlabel("layer")
    axes.set_ylabel("gradient norm")
    axes.set_title(f"{DEPTH} layers of width {WIDTH}, median of {SEEDS} seeds")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(png, dpi=120)
    row("gradient norms: plot", png.stat().st_size, "bytes")


def lines_of_code(folder: Path) -> int:
    """Lines with code on them: no blank lines, comments or docstrings."""
    count = 0
    for file in folder.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        tree, docs = ast.parse(text), set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
                docs.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
        lines = enumerate(text.splitlines(), 1)
        count += sum(1 for at, line in lines if at not in docs and line.strip() and not line.strip().startswith("#"))
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--png", type=Path, default=Path(tempfile.gettempdir()) / "gradient-norms.png")
    png = parser.parse_known_args()[0].png
    torch.set_num_threads(1)
    gradients(png)
    for folder in sorted((ROOT / "plugins" / "blocks").iterdir()):
        if (folder / "pyproject.toml").is_file():
            lines = lines_of_code(folder / "src")
            row(f"lines of code: block.{folder.name}", lines, "lines", bar=f"<= {LINES}", holds=lines <= LINES)


if __name__ == "__main__":
    main()
