"""RWKV-4's weighted average of values (Peng et al. 2023, equation 16) in its two forms:

    wkv_t = (a_t + e^(u + k_t) v_t) / (b_t + e^(u + k_t))
    a_{t+1} = e^(-w) a_t + e^(k_t) v_t          b_{t+1} = e^(-w) b_t + e^(k_t)

Shapes: w > 0 and u ``(C,)``; k, v, wkv ``(batch, L, C)``; state ``(batch, 3, C)``: a and b, both over e^o, and o, so
that no exponential overflows (appendix D). A state of zeros is the empty one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

EMPTY = -1e30  # stands for the logarithm of 0: finite, so that differences of two are no NaN


def wkv(
    w: torch.Tensor, u: torch.Tensor, k: torch.Tensor, v: torch.Tensor, state: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The whole sequence at once, for training: wkv and the state after it. Derivatives of first order only."""
    S, o = _load(state)
    k, v = k.transpose(0, 1)[:, None], v.transpose(0, 1)[:, None]
    y, S, o = _WKV.apply(w, u, k, v, S, o)
    return y.squeeze(1).transpose(0, 1), torch.cat((S, o)).transpose(0, 1)


def wkv_step(
    w: torch.Tensor, u: torch.Tensor, k: torch.Tensor, v: torch.Tensor, state: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """One step of the recurrence (L = 1), for decoding: wkv and the next state."""
    S, o = _load(state)
    k, V = k.transpose(0, 1), torch.stack((v, torch.ones_like(v))).squeeze(2)
    (a, b), _ = _sum(S, o, V, u + k)
    S, o = _sum(S, o - w, V, k)
    return (a / b)[:, None], torch.cat((S, o)).transpose(0, 1)


def _load(state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(a, b) over e^o ``(2, batch, C)``, and o ``(1, batch, C)``."""
    a, b, o = state.transpose(0, 1).split(1)
    return torch.cat((a, b)), torch.where(b == 0, EMPTY, o)


def _sum(S: torch.Tensor, o: torch.Tensor, V: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """S e^o + V e^k, as values over an exponential, and its exponent."""
    top = torch.maximum(o, k)
    return (V * (k - top).exp_()).addcmul_(S, (o - top).exp_()), top


def _fading_sums(
    V: torch.Tensor, k: torch.Tensor, w: torch.Tensor, S: torch.Tensor, o: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """``S_t e^(o_t) = e^(-w) S_{t-1} e^(o_{t-1}) + V_t e^(k_t)`` for all t, time first.

    Chunks of about sqrt(L) steps run side by side from nothing; then what enters each is added, faded. So there are
    2 sqrt(L) operations one after the other instead of L, and no exponent that grows with the distance.
    """
    L = len(k)
    T = max(1, round(L**0.5))
    n = -(-L // T)
    end = (0, 0, 0, 0, 0, 0, 0, n * T - L)
    V, k = F.pad(V, end).unflatten(0, (n, T)), F.pad(k, end, value=EMPTY).unflatten(0, (n, T))
    inner = [(V[:, 0], k[:, 0])]
    for t in range(1, T):
        inner.append(_sum(inner[-1][0], inner[-1][1] - w, V[:, t], k[:, t]))
    enters = [(S, o)]
    for S_c, o_c in zip(*inner[-1]):
        enters.append(_sum(enters[-1][0], enters[-1][1] - T * w, S_c, o_c))
    S, o = (torch.stack(part, 1) for part in zip(*inner))
    S_in, o_in = (torch.stack(part[:n])[:, None] for part in zip(*enters))
    steps = torch.arange(1, T + 1, dtype=w.dtype, device=w.device).view(T, 1, 1, 1)
    S, o = _sum(S, o, S_in, o_in - steps * w)
    return S.flatten(0, 1)[:L], o.flatten(0, 1)[:L]


class _WKV(torch.autograd.Function):
    """k, v, wkv ``(L, 1, batch, C)``. The gradient of a and b is a sum of the same form that runs back in time, its
    exponents those of 1 / (b_t + e^(u + k_t))."""

    @staticmethod
    def forward(ctx: Any, w: Any, u: Any, k: Any, v: Any, S: Any, o: Any) -> tuple[torch.Tensor, ...]:
        V = torch.cat((v, torch.ones_like(v)), 1)
        after, o_after = _fading_sums(V, k, w, S, o)
        before, o_before = torch.cat((S[None], after[:-1])), torch.cat((o[None], o_after[:-1]))
        top, o_top = _sum(before, o_before, V, u + k)
        y = top[:, :1] / top[:, 1:]
        ctx.save_for_backward(w, u, k, v, before, o_before, top[:, 1:], o_top, y, o_after[-1])
        S, o = after[-1].clone(), o_after[-1].clone()
        ctx.mark_non_differentiable(o)  # what S e^o is differentiated by goes through S
        return y, S, o

    @staticmethod
    def backward(ctx: Any, gy: torch.Tensor, gS: torch.Tensor, _: Any) -> tuple[torch.Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True: what follows would pass for a constant
            raise NotImplementedError("wkv has no second derivative; leave out create_graph")
        w, u, k, v, before, o_before, b, o_top, y, o_last = ctx.saved_tensors
        per_b = gy / b
        o_last = torch.where((gS == 0).all(0, keepdim=True), EMPTY, -o_last)
        V = torch.cat((per_b, -per_b * y), 1).flip(0)
        G, o = (part.flip(0) for part in _fading_sums(V, -o_top.flip(0), w, gS, o_last))  # of a_t, b_t
        first, o_first = G[0], o[0]
        G, o = torch.cat((G[1:], gS[None])), torch.cat((o[1:], o_last[None]))  # of a_{t+1}, b_{t+1}
        own, later = torch.exp(u + k - o_top) * per_b, torch.exp(k + o)
        gk_own = own * (v - y)
        gk, gv = gk_own + later * (v * G[:, :1] + G[:, 1:]), own + later * G[:, :1]
        gw = -(torch.exp(o_before + o - w) * (before * G).sum(1, keepdim=True)).sum((0, 1, 2))
        return gw, gk_own.sum((0, 1, 2)), gk, gv, first * torch.exp(o_first + o_before[0]), None
