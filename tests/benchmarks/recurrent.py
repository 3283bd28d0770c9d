"""Recurrent blocks beside transformers' torch path, or the recurrence step by step: training and decoding."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from _bench import row, side_by_side
from dougong import make
from dougong_block_mamba import Params as MambaParams
from dougong_block_mamba.mamba import Mamba
from dougong_block_mamba.scan import selective_scan
from dougong_block_rwkv import TimeParams4, TimeParams7, wkv4, wkv7
from dougong_block_rwkv.rwkv4 import TimeMix as TimeMix4
from dougong_block_rwkv.rwkv7 import TimeMix as TimeMix7
from torch.nn import functional as F
from transformers import MambaConfig, PreTrainedModel, RwkvConfig
from transformers.models.mamba.modeling_mamba import MambaMixer, mamba_selective_scan
from transformers.models.rwkv.modeling_rwkv import RwkvSelfAttention, rwkv_linear_attention_cpu

L, D, N = 512, 512, 16
Tensors = list[torch.Tensor]


def step(run: Callable[..., torch.Tensor], parts: Sequence[torch.Tensor], weight: torch.Tensor) -> Tensors:
    """One training step: what comes out, and the gradients of `parts`."""
    leaves = [part.detach().requires_grad_() for part in parts]
    out = run(*leaves)
    return [out, *torch.autograd.grad((out * weight).sum(), leaves)]


def block_step(block: torch.nn.Module, hidden: torch.Tensor) -> Tensors:
    block.zero_grad()
    hidden = hidden.detach().requires_grad_()
    out = block(hidden)
    out = out[0] if isinstance(out, tuple) else out
    out.square().sum().backward()
    return [out, hidden.grad, *(parameter.grad for parameter in dict(sorted(block.named_parameters())).values())]


def gap(found: Tensors, wanted: Tensors) -> float:
    """The largest relative difference of an output or a gradient, in the norm of each."""
    return max(
        ((a.double() - b.double()).norm() / b.double().norm()).item() for a, b in zip(found, wanted, strict=True)
    )


def compare(name: str, ours: Callable, peer: str, theirs: Callable, bar: float | None, same: float | None) -> None:
    found, wanted = ours(), theirs()
    apart = gap(found, wanted)
    row(f"{name}: relative difference of outputs and gradients", apart, "", against=peer,
        bar=f"<= {same:g}" if same else "", holds=apart <= same if same else None)  # fmt: skip
    seconds = side_by_side({"ours": ours, "theirs": theirs}, rounds=5)
    times = seconds["theirs"] / seconds["ours"]
    row(name, seconds["ours"] * 1000, "ms", against=f"{peer}, {seconds['theirs'] * 1000:.4g} ms", ratio=1 / times,
        bar=f">= {bar:g} x faster" if bar else "", holds=times >= bar if bar else None)  # fmt: skip
    row(f"{name}: times faster", times, "x", against=peer)


def mamba(draw: Callable[..., torch.Tensor]) -> None:
    A = -torch.arange(1.0, N + 1).expand(D, N)
    parts = [draw(1, L, D), F.softplus(draw(1, L, D) - 3), A, draw(1, L, N), draw(1, L, N)]

    def loop(x: torch.Tensor, Δ: torch.Tensor, A: torch.Tensor, B: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
        return mamba_selective_scan(x.mT, Δ.mT, A, B.mT, C.mT).mT

    def scan(*parts: torch.Tensor) -> torch.Tensor:
        return selective_scan(*parts, torch.zeros(1, D, N))[0]

    weight = draw(1, L, D)
    ours, theirs = partial(step, scan, parts, weight), partial(step, loop, parts, weight)
    compare(f"mamba scan, training step, D={D} N={N} L={L}", ours, "transformers", theirs, 20, 1e-6)

    config = MambaConfig(hidden_size=D // 2, num_hidden_layers=1, state_size=N)
    peer, block = MambaMixer(config, 0), Mamba(MambaParams(), config, 0)
    block.load_state_dict(peer.state_dict())
    hidden = draw(1, L, D // 2)
    ours, theirs = partial(block_step, block, hidden), partial(block_step, peer, hidden)
    compare(f"mamba block, training step, width={D // 2} D={D} L={L}", ours, "transformers", theirs, 20, 1e-6)


def rwkv4(draw: Callable[..., torch.Tensor]) -> None:
    for length in (L, 2 * L):
        parts = [torch.linspace(-5, 3, D), draw(D), 2 * draw(1, length, D), draw(1, length, D)]

        def loop(*parts: torch.Tensor) -> torch.Tensor:
            return rwkv_linear_attention_cpu(*parts)[0]

        def parallel(decay: torch.Tensor, u: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            return wkv4.wkv(decay.exp(), u, k, v, k.new_zeros(1, 3, D))[0]

        weight = draw(1, length, D)
        ours, theirs = partial(step, parallel, parts, weight), partial(step, loop, parts, weight)
        exact = step(parallel, [part.double() for part in parts], weight.double())
        name = f"rwkv-4 wkv, training step, C={D} L={length}"
        for side, run in (("ours", ours), ("transformers", theirs)):
            apart = gap(run(), exact)
            row(f"{name}: relative error of outputs and gradients, {side}", apart, "", against="float64",
                bar="<= 1e-6" if run is ours else "", holds=apart <= 1e-6 if run is ours else None)  # fmt: skip
        compare(name, ours, "transformers", theirs, 5, None)

        config = RwkvConfig(hidden_size=D, num_hidden_layers=2, context_length=length)
        config.initializer_range = 0.02
        block, peer = TimeMix4(TimeParams4(), config, 1), RwkvSelfAttention(config, 1)
        peer.load_state_dict(block.state_dict())
        hidden = draw(1, length, D)
        ours, theirs = partial(block_step, block, hidden), partial(block_step, peer, hidden)
        compare(f"rwkv-4 block, training step, C={D} L={length}", ours, "transformers", theirs, 5, None)


def rwkv7(draw: Callable[..., torch.Tensor]) -> None:
    H, size = D // 64, 64
    κ = F.normalize(draw(1, L, H, size), dim=-1)
    rows = [draw(1, L, H, size), -0.6065 * torch.sigmoid(draw(1, L, H, size)), draw(1, L, H, size)]
    rows += [draw(1, L, H, size), -κ, κ * torch.sigmoid(draw(1, L, H, size))]

    def loop(*rows: torch.Tensor) -> torch.Tensor:
        S, ys = torch.zeros(1, H, size, size), []
        for each in zip(*(part.split(1, 1) for part in rows)):
            y, S = wkv7.wkv_step(*each, S)
            ys.append(y)
        return torch.cat(ys, 1)

    def chunks(*rows: torch.Tensor) -> torch.Tensor:
        return wkv7.wkv(*rows, torch.zeros(1, H, size, size))[0]

    weight = draw(1, L, H, size)
    ours, theirs = partial(step, chunks, rows, weight), partial(step, loop, rows, weight)
    compare(f"rwkv-7 wkv, training step, H={H} N={size} L={L}", ours, "step by step", theirs, None, 1e-6)
    config = RwkvConfig(hidden_size=D, num_hidden_layers=2)
    config.initializer_range = 0.02
    block = TimeMix7(TimeParams7(), config, 0)
    seconds = side_by_side({"block": partial(block_step, block, draw(1, L, D))}, rounds=5)
    row(f"rwkv-7 block, training step, C={D} L={L}", seconds["block"] * 1000, "ms")


def decoding() -> None:
    """Parallel against step by step, and the cost of a token after few and after many."""
    norm = {"use": "layernorm"}
    layers = {"mamba": {"use": "mamba-layer"}}
    for version in ("rwkv4", "rwkv7"):
        channel = {"use": f"{version}-channel"}
        layers[version] = {"use": "transformer", "attention": {"use": version}, "ffn": channel, "norm": norm}
    for name, layer in layers.items():
        torch.manual_seed(0)
        model: PreTrainedModel = make("network.decoder", vocab=1000, width=256, layers=4, layer=layer).build().eval()
        for parameter in model.parameters():  # some start at zero
            parameter.data += 0.02 * torch.randn(parameter.shape)
        ids = torch.randint(0, 1000, (1, 1024))
        with torch.no_grad():
            whole, past, outs = model(ids[:, :256]).logits, None, []
            for at in range(256):
                out = model(ids[:, at : at + 1], past_key_values=past, use_cache=True)
                past = out.past_key_values
                outs.append(out.logits)
            apart = (torch.cat(outs, 1) - whole).abs().max().item() / whole.abs().max().item()
            row(f"{name}: parallel against 256 steps, relative difference of logits", apart, "", bar="<= 1e-5",
                holds=apart <= 1e-5)  # fmt: skip
            pasts = {length: model(ids[:, :length], use_cache=True).past_key_values for length in (16, 1024)}
            tokens = {
                f"after {length}": partial(model, ids[:, :1], past_key_values=past, use_cache=True)
                for length, past in pasts.items()
            }
            seconds = side_by_side(tokens, rounds=31)
        row(f"{name}: one token after 1024", seconds["after 1024"] * 1000, "ms", against="after 16",
            ratio=seconds["after 1024"] / seconds["after 16"])  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    row("threads", torch.get_num_threads(), "")
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=generator)
    mamba(draw)
    rwkv4(draw)
    rwkv7(draw)
    decoding()


if __name__ == "__main__":
    main()
