"""RWKV-7's state (Peng et al. 2025, equations 16 to 18) in its two forms:

    S_t = S_{t-1} (diag(w_t) + a_t^T b_t) + v_t^T k_t          y_t = r_t S_t^T

with rows r, w, k, v, a, b ``(batch, L, H, N)``; w between 0 and 1, given by its logarithm; S ``(batch, H, N, N)``.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

CHUNK = 16  # steps: within it, decays multiply to no less than exp(-16 / sqrt(e)), which can be divided by


def wkv(
    r: torch.Tensor, log_w: torch.Tensor, k: torch.Tensor, v: torch.Tensor, a: torch.Tensor, b: torch.Tensor,
    S: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """The whole sequence by chunks, for training: y and the last S.

    In a chunk with W_t = w_1 ... w_t, the states over their decays, Z_t = S_t / W_t, change by sums of outer products:
    ``Z_t = Z_{t-1} + p_t^T (b_t / W_t) + v_t^T (k_t / W_t)`` with ``p_t = (W_{t-1} a_t) Z_{t-1}^T``. All p of a chunk
    solve one triangular system, which is the same for every S that enters; only steps from chunk to chunk are in turn.
    """
    L, pad = r.shape[1], -r.shape[1] % CHUNK  # a step of zeros, w = 1, leaves S what it is
    r, log_w, k, v, a, b = (
        F.pad(part, (0, 0, 0, 0, 0, pad)).unflatten(1, (-1, CHUNK)).permute(1, 0, 3, 2, 4)
        for part in (r, log_w, k, v, a, b)
    )  # (chunks, batch, H, CHUNK, N)
    log_W = log_w.cumsum(-2)
    W, grow = log_W.exp(), (-log_W).exp()
    r, k, a, b = r * W, k * grow, a * (log_W - log_w).exp(), b * grow
    right = torch.cat((a, (a @ k.mT).tril(-1) @ v), -1)
    P_S, P_0 = torch.linalg.solve_triangular(
        torch.eye(CHUNK, dtype=r.dtype, device=r.device) - (a @ b.mT).tril(-1), right, upper=False, unitriangular=True
    ).split(right.shape[-1] // 2, -1)
    own, last = v.mT @ k, W[..., -1:, :]
    starts, P = [], []
    for P_S_c, P_0_c, b_c, own_c, last_c in zip(P_S, P_0, b, own, last):
        starts.append(S)
        P.append(P_S_c @ S.mT + P_0_c)
        S = (S + P[-1].mT @ b_c + own_c) * last_c
    y = r @ torch.stack(starts).mT + (r @ b.mT).tril() @ torch.stack(P) + (r @ k.mT).tril() @ v
    return y.permute(1, 0, 3, 2, 4).flatten(1, 2)[:, :L], S


def wkv_step(
    r: torch.Tensor, log_w: torch.Tensor, k: torch.Tensor, v: torch.Tensor, a: torch.Tensor, b: torch.Tensor,
    S: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """One step of the recurrence (L = 1), for decoding: y and the next S."""
    r, w, k, v, a, b = (part.transpose(1, 2) for part in (r, log_w.exp(), k, v, a, b))  # (batch, H, 1, N)
    S = S * w + S @ a.mT @ b + v.mT @ k
    return (r @ S.mT).transpose(1, 2), S
