"""Numbers as codes, a scale and a zero point a group: ``x = code * scale + zero``."""

from __future__ import annotations

import attrs
import torch

E4M3 = torch.float8_e4m3fn
HALF = torch.finfo(torch.float16)
LEVELS = {"int8": 255, "int4": 15}


@attrs.define
class Codes:
    """A tensor ``(batch, heads, tokens, d)`` in codes: uint8, two INT4 codes in each, or e4m3.

    Attributes:
        codes: ``(batch, heads, tokens, d)``; INT4 ``(batch, heads, tokens, d / 2)``: the channels of the first half are
            the low four bits, those of the second half the high ones.
        scale, zero: float16, ``(batch, heads, groups of tokens, 1, d)`` or ``(batch, heads, tokens, groups of
            channels, 1)``; e4m3 has no zero.
    """

    codes: torch.Tensor
    scale: torch.Tensor
    zero: torch.Tensor | None

    def append(self, other: Codes) -> None:
        """Codes of later tokens; nothing held is computed anew."""
        self.codes = _joined(self.codes, other.codes)
        self.scale = torch.cat([self.scale, other.scale], 2)
        if self.zero is not None:
            self.zero = torch.cat([self.zero, other.zero], 2)

    def select(self, rows: torch.Tensor) -> None:
        for name in ("codes", "scale", "zero"):
            if (held := getattr(self, name)) is not None:
                setattr(self, name, held[rows.to(held.device)])


def encode(x: torch.Tensor, dim: int, group: int, format: str) -> Codes:
    """`x` ``(batch, heads, tokens, d)`` in groups of `group` along `dim`: 2, by channel, or 3, by token.

    The scale and the zero point are rounded to float16 first, and the codes are computed with what is stored, so that
    their rounding costs range and no accuracy.
    """
    groups = x.float().unflatten(dim, (-1, group))
    along = dim + 1
    if format == "fp8":
        most = torch.finfo(E4M3).max
        scale = (groups.abs().amax(along, keepdim=True) / most).clamp(HALF.tiny, HALF.max).half()
        return Codes((groups / scale).clamp(-most, most).flatten(dim, along).to(E4M3), scale, None)
    low, high = groups.amin(along, keepdim=True), groups.amax(along, keepdim=True)
    zero = low.clamp(-HALF.max, HALF.max).half()
    zero = torch.where(zero > low, (low - low.abs() / 1024).clamp(min=-HALF.max).half(), zero)  # never above
    scale = ((high - zero) / LEVELS[format]).clamp(HALF.tiny, HALF.max).half()
    codes = ((groups - zero) / scale.float()).round_().clamp_(0, LEVELS[format])
    codes = codes.flatten(dim, along).to(torch.uint8)
    if format == "int4":
        first, second = codes.chunk(2, dim=-1)
        codes = first | second << 4
    return Codes(codes, scale, zero)


def decode(held: Codes, dim: int, group: int, format: str, out: torch.Tensor) -> None:
    """Writes the numbers back into `out` ``(batch, heads, tokens, d)``, which may be a view."""
    groups, scale = out.unflatten(dim, (-1, group)), held.scale.to(out.dtype)
    if held.zero is None:
        out.copy_(_e4m3_by_256(held.codes))
        groups.mul_(scale * 256)
        return
    if format == "int4":
        half = out.shape[-1] // 2
        out[..., :half] = held.codes & 15
        out[..., half:] = held.codes >> 4
    else:
        out.copy_(held.codes)
    torch.addcmul(held.zero.to(out.dtype), groups, scale, out=groups)


def _e4m3_by_256(codes: torch.Tensor) -> torch.Tensor:
    """e4m3 as float16, divided by 256: the same bits further left, under an exponent whose bias is 8 more.

    torch converts one number at a time on a CPU; shifts are six times as fast. Not for the two NaNs, which `encode`
    never makes.
    """
    signed = codes.view(torch.int8).to(torch.int16)
    return (signed << 7).bitwise_and_(-0x4001).view(torch.float16)  # bit 14 is a second sign by now


def _joined(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.cat([a.view(torch.uint8), b.view(torch.uint8)], 2).view(a.dtype)
