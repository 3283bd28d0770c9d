"""How a block is built, trained and saved. Imports torch and transformers."""

from __future__ import annotations

import pytest

from dougong.testing.block_use import BlockUse, close, host, states

# isort: split
import torch


class BlockTraining(BlockUse):
    """The checks of `BlockConformance` that concern gradients, fresh weights and saved ones."""

    # ------------------------------------------------------------ training

    def test_every_parameter_has_a_gradient(self) -> None:
        block, hidden = self.made().train(), states(2, 6, self.width).requires_grad_()
        (self.forward(block, hidden) * states(2, 6, self.width, seed=3)).sum().backward()
        assert hidden.grad is not None, "no gradient reaches the input"
        assert torch.isfinite(hidden.grad).all()
        assert hidden.grad.abs().max() > 0
        for name, parameter in block.named_parameters():
            if name not in self.unused:
                assert parameter.grad is not None, f"{name} has no gradient"
                assert torch.isfinite(parameter.grad).all(), f"the gradient of {name} is not finite"
                assert parameter.grad.abs().max() > 1e-6, f"the gradient of {name} is zero"

    def test_gradients_are_the_derivatives(self) -> None:
        """Along random directions in float64, against central differences."""
        block = self.made().double()
        hidden, weight = states(1, 4, self.width).double(), states(1, 4, self.width, seed=3).double()
        hidden.requires_grad_()
        parts = [hidden, *block.parameters()]

        def loss() -> torch.Tensor:
            return (self.forward(block, hidden) * weight).sum()

        gradients = torch.autograd.grad(loss(), parts, allow_unused=True)
        generator = torch.Generator().manual_seed(11)
        for part, gradient in zip(parts, gradients):
            direction = torch.randn(part.shape, generator=generator, dtype=torch.float64)
            direction /= direction.norm()
            values, step = [], 1e-3
            for sign in (1, -2):
                part.data += sign * step * direction
                values.append(loss().item())
            part.data += step * direction
            slope = (values[0] - values[1]) / (2 * step)
            found = 0.0 if gradient is None else (gradient * direction).sum().item()
            assert found == pytest.approx(slope, rel=2e-2, abs=2e-3), f"gradient {found}, difference quotient {slope}"

    def test_evaluation_has_no_chance_in_it(self) -> None:
        block, hidden = self.made(), states(2, 5, self.width)
        torch.manual_seed(1)
        first = self.forward(block, hidden)
        torch.manual_seed(2)
        assert torch.equal(self.forward(block, hidden), first), "it draws random numbers in evaluation mode"

    def test_dropout_acts_in_training_only(self) -> None:
        hidden = states(2, 6, self.width)
        for implementation in self.implementations() if self.drops is not None else ():
            config = self.config(implementation)
            plain = self.forward(self.made(config), hidden, implementation=implementation)
            block = self.made(config, **self.drops or {})
            evaluated = self.forward(block, hidden, implementation=implementation)
            close(evaluated, plain, 0, "dropout acts in evaluation")
            first, second = (self.forward(block.train(), hidden, implementation=implementation) for _ in range(2))
            assert not torch.equal(first, second), f"nothing is dropped in training ({implementation})"

    # ------------------------------------------------------------ building

    def test_the_config_is_read_and_never_written(self) -> None:
        config = self.config()
        before = repr(sorted(vars(config).items(), key=lambda item: item[0]))
        block = self.builder()(config, 0).eval()
        self.forward(block, states(1, 3, self.width))
        after = repr(sorted(vars(config).items(), key=lambda item: item[0]))
        assert after == before, "a block wrote to the config, which all blocks share"

    def test_each_is_made_anew(self) -> None:
        build = self.builder()
        first, second = build(self.config(), 0), build(self.config(), 1)
        mine = {parameter.data_ptr() for parameter in first.parameters()}
        assert not [p for p in second.parameters() if p.data_ptr() in mine], "two layers share a weight"
        assert not {id(m) for m in first.modules()} & {id(m) for m in second.modules()}, "two layers share a module"

    def test_it_can_stand_outside_the_layers(self) -> None:
        if self.cached:
            pytest.skip("what is cached belongs to a layer")
        block = self.made(layer_idx=None)
        assert self.forward(block, states(1, 2, self.width)).shape == (1, 2, self.width)

    def test_it_can_be_narrower_than_the_network(self) -> None:
        if not self.narrow:
            pytest.skip("it has the width of the network")
        block = self.builder()(self.config(), 0, width=6)
        assert block(states(2, 3, 6)).shape == (2, 3, 6), "width= gives another width than the config's"

    def test_a_state_dict_makes_an_equal_one(self) -> None:
        first, hidden = self.made(), states(2, 4, self.width)
        second = self.builder()(self.config(), 0).eval()
        second.load_state_dict(first.state_dict())
        close(self.forward(second, hidden), self.forward(first, hidden), 0, "what it computes is not all in its state")

    def test_fresh_weights_are_drawn_and_finite(self) -> None:
        """Also where a network is built without memory and initialised afterwards, as transformers does."""
        build = self.builder()
        for layer_idx in (0, 1):
            with torch.device("meta"):
                model = host(self.config(), build, layer_idx)
            model.to_empty(device="cpu")
            for tensor in (*model.parameters(), *model.buffers()):
                if tensor.is_floating_point():
                    tensor.data.fill_(float("nan"))
            for module in model.modules():
                model._init_weights(module)
            for name, tensor in (*model.block.named_parameters(), *model.block.named_buffers()):
                assert torch.isfinite(tensor).all(), (
                    f"{name} is not initialised after building on the meta device; give its module init_block(std)"
                )
            for name, matrix in model.block.named_parameters():
                if matrix.ndim > 1 and matrix.numel() > 1 and name not in self.fixed:
                    assert 0 < matrix.std() < 2, f"{name} starts the same everywhere, or far too large; is it `fixed`?"

    def test_a_saved_model_with_it_loads_and_computes_the_same(self) -> None:
        torch.manual_seed(0)
        build = self.builder()
        model = host(self.config(), build).eval()
        self.prepare(model.block)
        model.save_pretrained(self.folder / "host")
        again = type(model).from_pretrained(self.folder / "host", attn_implementation="sdpa").eval()
        hidden = states(2, 4, self.width)
        wanted, found = self.forward(model.block, hidden), self.forward(again.block, hidden)
        close(
            found, wanted, 0, "saved and loaded it computes something else; a buffer that is not saved needs init_block"
        )
