"""Steps of the network for any number of chats at once.

There is no thread. A chat that needs its next token makes a step for all chats, while the others wait for theirs; so
nothing runs that nobody reads, and what was closed takes part in no further step.

Source: Yu et al. 2022, Orca (iteration-level scheduling): chats join and leave between two steps.
"""

from __future__ import annotations

import inspect
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import attrs
import torch
from dougong import Cancelled, Delta, DougongError
from dougong.run import active_run
from transformers import DynamicLayer

from dougong_llm_transformers.reply import Reply, failed

_PIECE = 512  # tokens of a prompt that are read in one step: what others wait, and what a cancelled chat still costs
_SLICE = 0.1  # seconds after which a waiting chat asks whether its run was cancelled


@attrs.define(eq=False)
class Seat:
    """A chat in the engine. `read`: tokens of prompt and reply that the network has seen."""

    reply: Reply
    adapter: str | None
    cache: Any = None
    read: int = 0
    gone: bool = False
    error: Exception | None = None

    @property
    def over(self) -> bool:
        return self.gone or self.reply.over or self.error is not None

    def pending(self) -> list[int]:
        return (self.reply.prompt + self.reply.written)[self.read :]


class Batch:
    """Chats that make their steps in one forward pass: their keys and values side by side, padded on the left."""

    def __init__(self, seat: Seat) -> None:
        self.seats, self.cache, self.adapter = [seat], seat.cache, seat.adapter
        self.length = seat.read  # of the longest, in tokens
        self.open = joins(seat.cache)

    def join(self, seat: Seat) -> None:
        length = max(self.length, seat.read)
        for ours, theirs in zip(self.cache.layers, seat.cache.layers, strict=True):
            for name in ("keys", "values"):
                both = [_padded(getattr(layer, name), length) for layer in (ours, theirs)]
                setattr(ours, name, torch.cat(both))
        self.length = length
        self.seats.append(seat)

    def leave(self) -> None:
        """Let go of the chats that are over."""
        rows = [row for row, seat in enumerate(self.seats) if not seat.over]
        if len(rows) == len(self.seats):
            return
        self.seats = [self.seats[row] for row in rows]
        if not self.seats:
            self.cache = None
            return
        unused = self.length - max(seat.read for seat in self.seats)
        for layer in self.cache.layers:
            layer.keys, layer.values = layer.keys[rows, :, unused:], layer.values[rows, :, unused:]
        self.length -= unused

    def inputs(self, device: torch.device) -> dict[str, Any]:
        """One token a chat; the mask hides the padding."""
        found: dict[str, Any] = {
            "input_ids": torch.tensor([[seat.reply.written[-1]] for seat in self.seats], device=device),
            "position_ids": torch.tensor([[seat.read] for seat in self.seats], device=device),
            "past_key_values": self.cache,
        }
        if any(seat.read < self.length for seat in self.seats):
            columns = torch.arange(self.length + 1, device=device)
            found["attention_mask"] = (columns >= self.length - found["position_ids"]).long()
        return found


def joins(cache: Any) -> bool:
    """Whether `cache` can stand beside others: every layer keeps the keys and values of all tokens, and no more."""
    layers = getattr(cache, "layers", None) or ()
    return bool(layers) and all(type(layer) is DynamicLayer and layer.is_initialized for layer in layers)


def _padded(states: torch.Tensor, length: int) -> torch.Tensor:
    """`states` ``(1 or more, heads, tokens, width)`` with zeros before them, ``(..., length, width)``."""
    return torch.nn.functional.pad(states, (0, 0, length - states.shape[-2], 0))


class Engine:
    """Runs chats on one network. Safe to call from any number of threads.

    Args:
        cache: a technique that makes the cache of each chat; such chats are not batched, since only it knows its form.
        batch: chats that are under way at a time.
    """

    def __init__(self, network: Any, cache: Any, batch: int) -> None:
        self.network, self._cache, self._most = network, cache, batch
        self._takes = set(inspect.signature(network.forward).parameters)
        self._adapter: str | None = None
        self._turn = threading.Condition(threading.Lock())  # a plain lock: see `_tidy`
        self._busy = self._closed = False
        self._waiting, self._reading, self._batches = deque[Seat](), list[Seat](), list[Batch]()
        with torch.inference_mode():
            probe = self._forward({"input_ids": torch.zeros((1, 1), dtype=torch.long, device=network.device)}, None)
        self.vocabulary = int(probe.logits.shape[-1])
        own = getattr(probe, "past_key_values", None)
        self._remembers = own is not None or cache is not None
        self._in_pieces = cache is None and joins(own)

    def run(self, reply: Reply, adapter: str | None) -> Iterator[Delta]:
        """The deltas of `reply`. Raises what it failed by; Cancelled."""
        seat = Seat(reply, adapter)
        self._waiting.append(seat)
        try:
            while True:
                self._await(seat)
                while reply.out:
                    yield reply.out.popleft()
                if seat.error is not None:
                    raise seat.error
                if reply.over and not reply.out:
                    return
        finally:
            seat.gone = True
            self._tidy()

    def close(self) -> None:
        """End all chats under way."""
        self._closed = True

    # ------------------------------------------------------------ turns

    def _await(self, seat: Seat) -> None:
        """Return once `seat` has news: by making steps, or by waiting for one that another makes."""
        while not (seat.reply.out or seat.reply.over or seat.error):
            with self._turn:
                if self._busy:
                    self._turn.wait(_SLICE)
                mine = not self._busy and not (seat.reply.out or seat.reply.over or seat.error)
                self._busy = self._busy or mine
            if self._closed:
                seat.error = Cancelled("the model was closed")
            run = active_run()
            try:
                if run is not None:
                    run.check()
                if mine and seat.error is None:
                    with torch.inference_mode():
                        self._step()
            finally:
                if mine:
                    with self._turn:
                        self._busy = False
                        self._turn.notify_all()

    def _tidy(self) -> None:
        """Let go of what is over, if nobody is making a step; who is, will. Takes no lock that it must wait for: a
        reply that is collected as garbage may come here in the middle of anything, on any thread."""
        if self._turn.acquire(blocking=False):
            try:
                if not self._busy:
                    self._sweep()
            finally:
                self._turn.release()

    def _sweep(self) -> None:
        self._reading = [seat for seat in self._reading if not seat.over]
        for batch in self._batches:
            batch.leave()
        self._batches = [batch for batch in self._batches if batch.seats]

    # ------------------------------------------------------------ steps

    def _step(self) -> None:
        """Read a piece of one prompt, and write one token of every reply."""
        self._sweep()
        while self._waiting and len(self._reading) + sum(len(batch.seats) for batch in self._batches) < self._most:
            seat = self._waiting.popleft()
            if not seat.over:
                self._reading.append(seat)
        if self._reading:
            self._read(self._reading[0])
        for batch in self._batches:
            self._write(batch)
        self._sweep()

    def _read(self, seat: Seat) -> None:
        try:
            if seat.read == 0 and self._cache is not None:
                seat.cache = self._cache.build(self.network)
            ids = seat.pending()
            piece = ids[:_PIECE] if self._in_pieces else ids
            inputs = {"input_ids": torch.tensor([piece], device=self.network.device), "past_key_values": seat.cache}
            places = torch.arange(seat.read, seat.read + len(piece), device=self.network.device)
            found = self._forward({**inputs, "position_ids": places[None]}, seat.adapter)
            if self._remembers:
                seat.cache = found.past_key_values
                seat.read += len(piece)
            if len(piece) == len(ids):
                self._begin(seat, found.logits[0, -1])
        except Exception as error:
            seat.error = error if isinstance(error, DougongError) else failed(error)

    def _begin(self, seat: Seat, logits: torch.Tensor) -> None:
        """The prompt is read: choose the first token, and join the chats that write."""
        seat.reply.take(logits)
        if not self._remembers:  # stays where it is, and reads everything again for every token
            return
        self._reading.remove(seat)
        if seat.over:
            return
        for batch in self._batches:
            if batch.open and batch.adapter == seat.adapter and joins(seat.cache):
                batch.join(seat)
                return
        self._batches.append(Batch(seat))

    def _write(self, batch: Batch) -> None:
        batch.leave()
        if not batch.seats:
            return
        try:
            logits = self._forward(batch.inputs(self.network.device), batch.adapter).logits[:, -1]
        except Exception as error:
            for seat in batch.seats:
                seat.error = failed(error)
            return
        batch.length += 1
        for row, seat in enumerate(batch.seats):
            seat.read += 1
            try:
                seat.reply.take(logits[row])
            except Exception as error:
                seat.error = error if isinstance(error, DougongError) else failed(error)

    def _forward(self, inputs: dict[str, Any], adapter: str | None) -> Any:
        """One forward pass with `adapter` worn; only the last token's logits where the network can do so."""
        if adapter != self._adapter:
            if adapter is None:
                self.network.disable_adapters()
            else:
                if self._adapter is None:
                    self.network.enable_adapters()
                self.network.set_adapter(adapter)
            self._adapter = adapter
        given = {**inputs, "use_cache": True, "logits_to_keep": 1, "return_dict": True}
        return self.network(
            **{name: value for name, value in given.items() if name in self._takes and value is not None}
        )
