"""Kwon et al. 2023, https://arxiv.org/abs/2309.06180: keys and values lie in blocks of a pool; a table says
where."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from transformers import Cache, DynamicCache, EncoderDecoderCache, PreTrainedModel
from transformers.cache_utils import DYNAMIC_LAYER_TYPE_MAPPING, CacheLayerMixin, get_layer_types_and_kwargs

from dougong_cache_paged import Params
from dougong_cache_paged.pages import Pages, Step


class Paged:
    """The technique: a network to an empty cache. Layers with a window or a recurrent state keep transformers' own."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def build(self, network: PreTrainedModel) -> Cache:
        types, settings = get_layer_types_and_kwargs(network.config.get_text_config(decoder=True))
        book = Book(Pages(self.params.block, self.params.share))
        # A decoder's past depends on what its encoder read: equal tokens are no equal past there.
        if not network.config.is_encoder_decoder:
            for module in network.modules():  # whichever is called by generate, or by an adapter around it
                if isinstance(module, PreTrainedModel) and _note not in module._forward_pre_hooks.values():
                    module.register_forward_pre_hook(_note, with_kwargs=True)
        cache = PagedCache(
            [
                PagedLayer(book) if kind == "full_attention" else DYNAMIC_LAYER_TYPE_MAPPING[kind](**kwargs)
                for kind, kwargs in zip(types, settings, strict=True)
            ],
            book,
        )
        return EncoderDecoderCache(cache, DynamicCache()) if network.config.is_encoder_decoder else cache


def _note(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A layer of a cache sees keys alone; which tokens they are of, and which are padding, the network is told."""
    past = kwargs.get("past_key_values")
    if isinstance(past, PagedCache):
        ids = kwargs.get("input_ids", args[0] if args else None)
        past.book.note(ids, kwargs.get("attention_mask"), kwargs.get("position_ids"))


class Book:
    """The pages, and what is known of the tokens that come next."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.step: Step | None = None
        self.reads: dict[tuple[int, int], torch.Tensor] = {}
        self._ids = self._mask = self._positions = None

    def note(self, ids: Any, mask: Any, positions: Any) -> None:
        self._ids, self._positions = ids, positions
        if not isinstance(mask, dict):  # else the masks are made already, of what was noted just before
            self._mask = mask

    def advance(self, batch: int, columns: int) -> None:
        """Called by the first layer of a forward."""
        held, mask, ids, at = self.pages.columns, self._mask, self._ids, self._positions
        whole = isinstance(mask, torch.Tensor) and mask.shape == (batch, held + columns)
        real = mask[:, held:].bool().cpu() if whole else None
        told = None
        if isinstance(ids, torch.Tensor) and ids.shape == (batch, columns) and (at is None or at.ndim == 2):
            at = torch.arange(held, held + columns)[None] if at is None else at.cpu()
            told = torch.stack([ids.cpu(), at.expand(batch, -1)], -1).contiguous()
        self.step, self.reads = self.pages.advance(batch, columns, told, real), {}
        self._ids = self._mask = self._positions = None

    def read(self, heads: int, like: torch.Tensor) -> torch.Tensor:
        """Rows of a pool seen as ``(heads * slots, d)``, in the order ``(batch, heads, columns)``; made once a step."""
        slots = self.pages.blocks * self.pages.size
        if (heads, slots) not in self.reads:
            head = torch.arange(heads)[None, :, None] * slots
            self.reads[heads, slots] = (self.step.read[:, None] + head).flatten().to(like.device)
        return self.reads[heads, slots]


@attrs.frozen
class Report:
    """What a cache takes.

    Attributes:
        blocks: allocated.
        free: of them, holding nothing.
        tokens: kept, those of a shared block once.
        nbytes: of all layers' pools and the bookkeeping.
        waste: the share of `nbytes` that holds no token.
    """

    blocks: int
    free: int
    tokens: int
    nbytes: int
    waste: float


class PagedCache(Cache):
    def __init__(self, layers: list[Any], book: Book) -> None:
        super().__init__(layers=layers)
        self.book = book

    def report(self) -> Report:
        pages = self.book.pages
        pools = sum(
            pool.untyped_storage().nbytes()
            for layer in self._paged()
            if layer.is_initialized
            for pool in (layer.keys, layer.values)
        )
        total, slots = pools + pages.nbytes(), pages.blocks * pages.size
        waste = 1 - pools * pages.filled() / slots / total if slots else 0.0
        return Report(pages.blocks, len(pages.free), pages.filled(), total, waste)

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        self.batch_select_indices(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        rows = torch.arange(len(self.book.pages.rows))
        self.batch_select_indices(rows.repeat_interleave(repeats))

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        for layer in self.layers:
            if not isinstance(layer, PagedLayer):
                layer.reorder_cache(indices)
        if self.book.pages.rows:
            self.book.pages.select(indices.tolist())

    def crop(self, tokens_to_remove: int) -> None:
        for layer in self.layers:
            if not isinstance(layer, PagedLayer):
                layer.crop(tokens_to_remove)
        self.book.pages.crop(abs(tokens_to_remove))
        for layer in self._paged():
            layer.columns = self.book.pages.columns

    def reset(self) -> None:
        super().reset()
        self.book.pages.clear()

    def _paged(self) -> list[PagedLayer]:
        return [layer for layer in self.layers if isinstance(layer, PagedLayer)]


class PagedLayer(CacheLayerMixin):
    """Pools of keys and values ``(heads, blocks, size, d)``, which grow by just the blocks that are needed.

    Attention wants one tensor, so a step gathers the tokens of all rows; a growing cache copies as much.
    """

    is_croppable = True
    is_sliding = False

    def __init__(self, book: Book) -> None:
        super().__init__()
        self.book, self.columns = book, 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        size = self.book.pages.size
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys = key_states.new_zeros(key_states.shape[1], 0, size, key_states.shape[3])
        self.values = value_states.new_zeros(value_states.shape[1], 0, size, value_states.shape[3])
        self.is_initialized = True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.columns == self.book.pages.columns:
            self.book.advance(key_states.shape[0], key_states.shape[2])
        first, self.columns = self.columns == 0, self.columns + key_states.shape[2]
        self.keys, keys = self._through(self.keys, key_states, first)
        self.values, values = self._through(self.values, value_states, first)
        return keys, values

    def _through(self, pool: torch.Tensor, new: torch.Tensor, first: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """The pool with `new` in it, and the states of all columns."""
        step, (heads, held, size, d) = self.book.step, pool.shape
        if more := self.book.pages.blocks - held:
            pool = torch.cat([pool, pool.new_zeros(heads, more, size, d)], 1)
        if step.copies:
            source, copy = (blocks.to(pool.device) for blocks in step.copies)
            pool[:, copy] = pool[:, source]
        if step.rows is None:
            states = new.transpose(0, 1).reshape(heads, -1, d)
        else:
            states = new[step.rows, :, step.columns].transpose(0, 1)
        pool.view(heads, -1, d).index_copy_(1, step.slots.to(pool.device), states)
        if first:
            return pool, new
        found = pool.view(-1, d).index_select(0, self.book.read(heads, pool))
        return pool, found.view(new.shape[0], heads, -1, d)

    def get_seq_length(self) -> int:
        return self.columns

    def get_max_length(self) -> int:
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.columns + query_length, 0

    def reset(self) -> None:
        self.keys = self.values = None
        self.is_initialized, self.columns = False, 0

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Nothing: tables are the whole cache's, which reorders them once."""
