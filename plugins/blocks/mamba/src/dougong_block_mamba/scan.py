"""The selective scan in its two forms (Gu and Dao 2023, section 3.3 and algorithm 2):

    h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t x_t
    y_t = C_t h_t

Shapes: x, Δ ``(batch, L, D)``; B, C ``(batch, L, N)``; A < 0 ``(D, N)``; h ``(batch, D, N)``; y ``(batch, L, D)``.
"""

from __future__ import annotations

from typing import Any

import torch

CHUNK = 64  # steps whose states are alive at once: they stay in a CPU's cache, and memory does not grow with L


def selective_scan(
    x: torch.Tensor, Δ: torch.Tensor, A: torch.Tensor, B: torch.Tensor, C: torch.Tensor, h: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The whole sequence at once, for training: y and the last h. Derivatives of first order only."""
    y, h = _Scan.apply(x.transpose(0, 1), Δ.transpose(0, 1), A, B.transpose(0, 1), C.transpose(0, 1), h)
    return y.transpose(0, 1), h


def selective_step(
    x: torch.Tensor, Δ: torch.Tensor, A: torch.Tensor, B: torch.Tensor, C: torch.Tensor, h: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """One step of the recurrence (L = 1), for decoding: y and the next h."""
    h = torch.exp(Δ.mT * A) * h + (Δ * x).mT * B
    return (h @ C.mT).mT, h


def _states(x: Any, Δ: Any, A: Any, B: Any, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """exp(Δ A) and the states h_t of one chunk, ``(steps, batch, D, N)``."""
    A_bar = torch.exp_(Δ[..., None] * A)
    H = (Δ * x)[..., None] * B[:, :, None]
    for a_t, h_t in zip(A_bar.unbind(), H.unbind()):
        h = h_t.addcmul_(a_t, h)
    return A_bar, H


class _Scan(torch.autograd.Function):
    """Time comes first. Autograd would keep every state, and index them one by one; here h is kept once a chunk, and
    the states between are computed again for the gradient, as in the paper's kernel (section 3.3.2, recomputation)."""

    @staticmethod
    def forward(ctx: Any, x: Any, Δ: Any, A: Any, B: Any, C: Any, h: Any) -> tuple[torch.Tensor, torch.Tensor]:
        starts, ys = [], []
        for x_c, Δ_c, B_c, C_c in zip(*(part.split(CHUNK) for part in (x, Δ, B, C))):
            starts.append(h)
            _, H = _states(x_c, Δ_c, A, B_c, h)
            ys.append((H @ C_c[..., None]).squeeze(-1))
            h = H[-1].clone()
        ctx.save_for_backward(x, Δ, A, B, C, *starts)
        return torch.cat(ys), h

    @staticmethod
    def backward(ctx: Any, gy: torch.Tensor, gh: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if torch.is_grad_enabled():  # create_graph=True: what follows would pass for a constant
            raise NotImplementedError("the scan has no second derivative; leave out create_graph")
        x, Δ, A, B, C, *starts = ctx.saved_tensors
        gx, gΔ, gA, gB, gC = (torch.empty_like(part) for part in (x, Δ, A, B, C))
        gA.zero_()
        for index in reversed(range(len(starts))):
            at = slice(index * CHUNK, (index + 1) * CHUNK)
            A_bar, H = _states(x[at], Δ[at], A, B[at], starts[index])
            gC[at] = (gy[at, :, None] @ H).squeeze(2)
            G = gy[at][..., None] * C[at][:, :, None]  # becomes the gradient of each h_t, the last first
            G[-1] += gh
            steps = list(zip(G.unbind(), A_bar.unbind()))
            for (g_t, _), (g_next, a_next) in zip(steps[-2::-1], steps[:0:-1]):
                g_t.addcmul_(a_next, g_next)
            gh = A_bar[0] * G[0]
            gB[at] = ((Δ[at] * x[at])[:, :, None] @ G).squeeze(2)
            g = (G @ B[at][..., None]).squeeze(-1)
            gx[at] = g * Δ[at]
            G *= A_bar  # becomes the gradient of Δ_t A
            G[0] *= starts[index]
            G[1:] *= H[:-1]
            gΔ[at] = g * x[at] + (G * A).sum(-1)
            gA += (G * Δ[at][..., None]).sum((0, 1))
        return gx, gΔ, gA, gB, gC, gh
