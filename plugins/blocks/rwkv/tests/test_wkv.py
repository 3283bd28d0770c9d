"""The parallel forms against the steps and the recurrences written out, and against numerical derivatives."""

import pytest
import torch
from dougong_block_rwkv import wkv4, wkv7
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

torch.set_num_threads(1)
shapes = {"batch": st.integers(1, 3), "L": st.integers(1, 37), "seed": st.integers(0, 99)}


def drawing(seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


# ---------------------------------------------------------------- RWKV-4


def problem4(batch, L, C, seed=0, dtype=torch.float64):
    """w, u, k, v, and the parts of a state: its a and b, its exponent."""
    draw = drawing(seed, dtype)
    ab = torch.stack((draw(batch, C), draw(batch, C).exp()), 1)
    return draw(C).exp(), draw(C), 2 * draw(batch, L, C), draw(batch, L, C), ab, draw(batch, 1, C)


def parallel4(w, u, k, v, ab, o):
    """wkv, and the true a and b after it."""
    y, state = wkv4.wkv(w, u, k, v, torch.cat((ab, o), 1))
    return y, state[:, :2] * state[:, 2:].detach().exp()


def written_out4(w, u, k, v, ab, o):
    a, b = (ab * o.exp()).unbind(1)
    ys = []
    for k_t, v_t in zip(k.unbind(1), v.unbind(1)):
        now = torch.exp(u + k_t)
        ys.append((a + now * v_t) / (b + now))
        a, b = torch.exp(-w) * a + torch.exp(k_t) * v_t, torch.exp(-w) * b + torch.exp(k_t)
    return torch.stack(ys, 1), torch.stack((a, b), 1)


@settings(deadline=None, max_examples=60)
@given(**shapes, C=st.integers(1, 5))
def test_wkv4_and_its_gradients_are_those_of_the_recurrence(batch, L, C, seed):
    found = []
    for form in (parallel4, written_out4):
        *parts, o = problem4(batch, L, C, seed)
        parts = [part.requires_grad_() for part in parts]
        y, after = form(*parts, o)
        found.append([y, after, *torch.autograd.grad(y.sin().sum() + after.cos().sum(), parts)])
    for mine, wanted in zip(*found):
        torch.testing.assert_close(mine, wanted, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(**shapes, C=st.integers(1, 5))
def test_steps_are_wkv4(batch, L, C, seed):
    w, u, k, v, ab, o = problem4(batch, L, C, seed, torch.float32)
    state = torch.cat((ab, o), 1)
    y, last = wkv4.wkv(w, u, k, v, state)
    ys = []
    for k_t, v_t in zip(k.split(1, 1), v.split(1, 1)):
        y_t, state = wkv4.wkv_step(w, u, k_t, v_t, state)
        ys.append(y_t)
    torch.testing.assert_close(torch.cat(ys, 1), y, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(state[:, :2] * state[:, 2:].exp(), last[:, :2] * last[:, 2:].exp(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("batch", "L"), [(1, 1), (2, 7)])
def test_gradients_of_wkv4_are_the_derivatives(batch, L):
    *parts, o = problem4(batch, L, 3)
    assert torch.autograd.gradcheck(lambda *parts: parallel4(*parts, o), [part.requires_grad_() for part in parts])


def test_wkv4_in_two_pieces_has_the_gradients_of_the_whole():
    found = []
    for pieces in ([9], [4, 5]):
        w, u, k, v, *_ = (part.requires_grad_() for part in problem4(2, 9, 3))
        state, ys = torch.zeros(2, 3, 3, dtype=torch.float64), []
        for k_p, v_p in zip(k.split(pieces, 1), v.split(pieces, 1)):
            y, state = wkv4.wkv(w, u, k_p, v_p, state)
            ys.append(y)
        found.append(torch.autograd.grad(torch.cat(ys, 1).sin().sum(), (w, u, k, v)))
    for mine, wanted in zip(*found):
        torch.testing.assert_close(mine, wanted)


@pytest.mark.parametrize("size", [80.0, -80.0, 1e4])
def test_wkv4_stays_finite_where_its_exponentials_are_not(size):
    """Keys far beyond the logarithm of the largest float; the sum over the past is then one value, or their mean."""
    w, u, k, v, *_ = problem4(1, 30, 4, dtype=torch.float32)
    k = (torch.zeros_like(k) + size).requires_grad_()
    empty = torch.zeros(1, 3, 4)
    y, _ = wkv4.wkv(0 * w, 0 * u, k, v, empty)
    torch.testing.assert_close(y, v.cumsum(1) / torch.arange(1, 31)[:, None])
    y.square().sum().backward()
    assert torch.isfinite(k.grad).all()
    alternating = size * torch.tensor([1.0, -1.0]).repeat(15)[None, :, None].expand(1, 30, 4)
    y, _ = wkv4.wkv(w, u, alternating, v, empty)
    assert torch.isfinite(y).all()


def test_a_second_derivative_of_wkv4_is_refused_not_wrong():
    w, u, k, v, *_ = (part.requires_grad_() for part in problem4(1, 4, 2))
    y, _ = wkv4.wkv(w, u, k, v, torch.zeros(1, 3, 2, dtype=torch.float64))
    with pytest.raises(NotImplementedError, match="no second derivative"):
        torch.autograd.grad(y.sum(), k, create_graph=True)


# ---------------------------------------------------------------- RWKV-7


def problem7(batch, L, H, N, seed=0, dtype=torch.float64):
    draw = drawing(seed, dtype)
    κ, log_w = F.normalize(draw(batch, L, H, N), dim=-1), -(0.6065) * torch.sigmoid(3 * draw(batch, L, H, N))
    a = κ * torch.sigmoid(draw(batch, L, H, N))
    rows = [draw(batch, L, H, N) for _ in range(3)]
    return [rows[0], log_w, rows[1], rows[2], -κ, a, draw(batch, H, N, N)]


def written_out7(r, log_w, k, v, a, b, S):
    ys = []
    for t in range(r.shape[1]):
        change = torch.diag_embed(log_w[:, t].exp()) + torch.einsum("bhi,bhj->bhij", a[:, t], b[:, t])
        S = S @ change + torch.einsum("bhi,bhj->bhij", v[:, t], k[:, t])
        ys.append(torch.einsum("bhij,bhj->bhi", S, r[:, t]))
    return torch.stack(ys, 1), S


@settings(deadline=None, max_examples=40)
@given(**shapes, H=st.integers(1, 3), N=st.integers(1, 5))
def test_wkv7_and_its_gradients_are_those_of_the_recurrence(batch, L, H, N, seed):
    found = []
    for form in (wkv7.wkv, written_out7):
        parts = [part.detach().requires_grad_() for part in problem7(batch, L, H, N, seed)]
        y, S = form(*parts)
        found.append([y, S, *torch.autograd.grad(y.sin().sum() + S.cos().sum(), parts)])
    for mine, wanted in zip(*found):
        torch.testing.assert_close(mine, wanted, rtol=1e-8, atol=1e-8)


@settings(deadline=None, max_examples=40)
@given(**shapes, H=st.integers(1, 3), N=st.integers(1, 5))
def test_steps_are_wkv7(batch, L, H, N, seed):
    *rows, S = problem7(batch, L, H, N, seed, torch.float32)
    y, last = wkv7.wkv(*rows, S)
    ys = []
    for step in zip(*(row.split(1, 1) for row in rows)):
        y_t, S = wkv7.wkv_step(*step, S)
        ys.append(y_t)
    scale = max(1.0, y.abs().max().item())
    assert (torch.cat(ys, 1) - y).abs().max() <= 1e-5 * scale
    torch.testing.assert_close(S, last, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("batch", "L"), [(1, 1), (2, 19)])
def test_gradients_of_wkv7_are_the_derivatives(batch, L):
    parts = [part.detach().requires_grad_() for part in problem7(batch, L, 1, 2)]
    assert torch.autograd.gradcheck(wkv7.wkv, parts)


def test_wkv7_is_exact_at_the_fastest_decay_of_all():
    """Within a chunk it divides by decays; at their smallest, over many chunks, in float32, nothing is lost."""
    *rows, S = problem7(1, 100, 2, 8)
    rows[1] = torch.full_like(rows[1], -(torch.e**-0.5))
    exact, _ = written_out7(*rows, S)
    found, _ = wkv7.wkv(*(row.float() for row in rows), S.float())
    assert (found - exact).norm() <= 1e-6 * exact.norm()
