"""The two forms of the recurrence against the recurrence written out, and against numerical derivatives."""

import pytest
import torch
from dougong_block_mamba import scan
from hypothesis import given, settings
from hypothesis import strategies as st

torch.set_num_threads(1)


def problem(batch, L, D, N, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    Δ = torch.nn.functional.softplus(draw(batch, L, D))
    return draw(batch, L, D), Δ, -draw(D, N).exp(), draw(batch, L, N), draw(batch, L, N), draw(batch, D, N)


def written_out(x, Δ, A, B, C, h):
    ys = []
    for t in range(x.shape[1]):
        h = torch.einsum("bdn,bdn->bdn", torch.exp(torch.einsum("bd,dn->bdn", Δ[:, t], A)), h)
        h = h + torch.einsum("bd,bd,bn->bdn", Δ[:, t], x[:, t], B[:, t])
        ys.append(torch.einsum("bdn,bn->bd", h, C[:, t]))
    return torch.stack(ys, 1), h


shapes = {
    "batch": st.integers(1, 3),
    "L": st.integers(1, 23),
    "D": st.integers(1, 5),
    "N": st.integers(1, 4),
    "chunk": st.integers(1, 9),
    "seed": st.integers(0, 99),
}


@settings(deadline=None, max_examples=60)
@given(**shapes)
def test_scan_and_its_gradients_are_those_of_the_recurrence(batch, L, D, N, chunk, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "CHUNK", chunk)
        found = []
        for form in (scan.selective_scan, written_out):
            parts = [part.requires_grad_() for part in problem(batch, L, D, N, seed)]
            y, h = form(*parts)
            found.append([y, h, *torch.autograd.grad(y.sin().sum() + h.cos().sum(), parts)])
        for mine, wanted in zip(*found):
            torch.testing.assert_close(mine, wanted, rtol=1e-10, atol=1e-10)


@settings(deadline=None, max_examples=40)
@given(**shapes)
def test_steps_are_the_scan(batch, L, D, N, chunk, seed):
    x, Δ, A, B, C, h = problem(batch, L, D, N, seed, torch.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "CHUNK", chunk)
        y, last = scan.selective_scan(x, Δ, A, B, C, h)
    ys = []
    for t in range(L):
        at = slice(t, t + 1)
        y_t, h = scan.selective_step(x[:, at], Δ[:, at], A, B[:, at], C[:, at], h)
        ys.append(y_t)
    torch.testing.assert_close(torch.cat(ys, 1), y, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(h, last, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cut", [1, 5, 8])
def test_a_sequence_in_two_pieces_has_the_gradients_of_the_whole(cut):
    found = []
    for pieces in ([9], [cut, 9 - cut]):
        x, Δ, A, B, C, h = (part.requires_grad_() for part in problem(2, 9, 3, 2))
        ys, state = [], h
        for x_p, Δ_p, B_p, C_p in zip(*(part.split(pieces, 1) for part in (x, Δ, B, C))):
            y, state = scan.selective_scan(x_p, Δ_p, A, B_p, C_p, state)
            ys.append(y)
        found.append(torch.autograd.grad(torch.cat(ys, 1).sin().sum(), (x, Δ, A, B, C, h)))
    for mine, wanted in zip(*found):
        torch.testing.assert_close(mine, wanted)


@pytest.mark.parametrize(("batch", "L"), [(1, 1), (2, 7)])
def test_gradients_are_the_derivatives(batch, L, monkeypatch):
    monkeypatch.setattr(scan, "CHUNK", 3)
    assert torch.autograd.gradcheck(scan.selective_scan, [p.requires_grad_() for p in problem(batch, L, 3, 2)])


def test_a_second_derivative_is_refused_not_wrong():
    parts = [part.requires_grad_() for part in problem(1, 4, 2, 2)]
    with pytest.raises(NotImplementedError, match="no second derivative"):
        torch.autograd.grad(scan.selective_scan(*parts)[0].sum(), parts[0], create_graph=True)


def test_what_is_kept_for_the_gradient_is_one_state_a_chunk():
    """Recomputation (section 3.3.2): not one a position, which autograd would keep."""
    batch, L, D, N = 1, 512, 32, 16
    kept = {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    parts = [part.requires_grad_() for part in problem(batch, L, D, N, dtype=torch.float32)]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        scan.selective_scan(*parts)
    inputs = sum(part.numel() for part in parts)
    assert sum(kept.values()) <= inputs + L // scan.CHUNK * batch * D * N
    assert sum(kept.values()) < L * D * N / 4
