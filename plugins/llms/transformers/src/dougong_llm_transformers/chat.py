"""The model: a network, its tokenizer and its adapters, loaded once; one reply for each chat."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from dougong import LLM, BuildError, CallError, Delta, Message, Sampling, Tool
from transformers.utils import logging

from dougong_llm_transformers import AdaptedParams, ContextOverflow, Params
from dougong_llm_transformers.constrain import Guide, Vocabulary, call_grammar, reply_grammar
from dougong_llm_transformers.engine import Engine
from dougong_llm_transformers.prompt import Prompter
from dougong_llm_transformers.reply import Reply, chooser

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TransformersChat:
    """A chat model that is a network on this machine.

    Shared by any number of threads: their chats are batched (`engine`). Closing the iterator of a reply, or cancelling
    its run, ends it before the next token. Deltas hold whole characters only. Usage is exact: input tokens are those of
    the rendered prompt, output tokens those that the network chose, the end mark included; so a reply that a stop
    string cut counts up to the token that completed it.

    With a schema the text satisfies it, and tool calls are those of offered tools with arguments that satisfy their
    parameters: other tokens are not chosen. Where the tokens run out, the JSON is brought to an end that is still
    valid, and the last delta's ``data["closed"]`` is true. Stop strings do not apply there.

    Raises from `chat`: ContextOverflow; CallError, for what the template, the schema or the network refuses; Cancelled.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        network, tokenizer = _network(params), _tokenizer(params.folder)
        self._adapters = frozenset(params.adapters)
        for name, place in params.adapters.items():
            _wear(network, name, place)
        if params.adapters:
            network.disable_adapters()
        network.eval().requires_grad_(False)
        try:
            self._engine = Engine(network, params.cache, params.batch)
        except Exception as error:
            raise BuildError(
                f"the network does not run: {type(error).__name__}: {error}",
                hint="give a causal language model, and a device and dtype that it can run with",
            ) from error
        size = self._engine.vocabulary
        if len(tokenizer) > size:
            raise BuildError(
                f"the tokenizer has {len(tokenizer):,} tokens and the network {size:,}",
                hint="give the tokenizer that the network was trained with",
            )
        self.model = params.folder.name
        self._defaults, self._tokenizer = network.generation_config, tokenizer
        self._ends = _ends(network, tokenizer)
        self._prompter = Prompter(params, tokenizer)
        self._context = params.context or _context(network)
        try:
            self._words: Vocabulary | None = Vocabulary(
                tokenizer, size, sorted(self._ends), params.call_begin + params.call_end
            )
        except ValueError:  # a tokenizer of words: it can talk, and cannot be held to a grammar
            self._words = None

    def __repr__(self) -> str:
        return f"TransformersChat({self.model!r})"

    def close(self) -> None:
        """End every reply under way."""
        self._engine.close()

    def adapted(self, adapter: str | None) -> LLM:
        """The same network wearing `adapter`; None for none. Raises BuildError if there is none of that name."""
        if adapter is not None and adapter not in self._adapters:
            raise BuildError(
                f"there is no adapter {adapter!r}; there are {', '.join(sorted(self._adapters)) or 'none'}",
                hint="name it under adapters of the model",
            )
        return Adapted(self, adapter)

    def chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        schema: Mapping[str, Any] | None = None,
        sampling: Sampling = Sampling(),
    ) -> Iterator[Delta]:
        """The reply, in deltas."""
        return self.wearing(self._params.adapter, messages, tools, schema, sampling)

    def wearing(
        self,
        adapter: str | None,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        schema: Mapping[str, Any] | None,
        sampling: Sampling,
    ) -> Iterator[Delta]:
        """The reply of the network with `adapter`."""
        prompt = self._prompter.tokens(messages, tools, schema)
        limit = max(1, self._params.max_tokens if sampling.max_tokens is None else sampling.max_tokens)
        if self._context is not None:
            if len(prompt) >= self._context:
                raise ContextOverflow(len(prompt), self._context)
            limit = min(limit, self._context - len(prompt))
        reply = Reply(
            prompt,
            self._words,
            lambda ids: str(self._tokenizer.decode(ids, skip_special_tokens=True)),
            self._ends,
            limit,
            chooser(sampling, self._defaults),
            stops=(*sampling.stop, *self._prompter.stop),
            name=f"call_{len(messages)}",
            **self._held_to(tools, schema, limit),
        )
        yield from self._engine.run(reply, adapter)

    def _held_to(self, tools: Sequence[Tool], schema: Mapping[str, Any] | None, limit: int) -> dict[str, Any]:
        """What holds a reply to tools and schema, as keywords of `Reply`."""
        if not tools and schema is None:
            return {}
        words, p = self._words, self._params
        if words is None:
            raise CallError(
                "this tokenizer's tokens are words, not bytes: the reply can be held to no schema and no tool",
                hint="use a network with a byte-level or byte-fallback tokenizer, or ask without tools and schema",
            )
        marks = (p.call_begin, p.call_end, p.arguments_key)
        if tools and p.tool_choice == "required":
            return {"guide": _closable(Guide(words, call_grammar(words, tools, *marks), limit)), "held": p.call_begin}
        if tools and schema is not None:
            grammar = call_grammar(words, tools, *marks, schema=schema)
            return {"guide": _closable(Guide(words, grammar, limit)), "held": p.call_begin}
        if schema is not None:
            return {"guide": _closable(Guide(words, reply_grammar(schema), limit))}
        begun = p.call_begin.rstrip()
        grammar = call_grammar(words, tools, *marks, begun=begun)
        Guide(words, grammar, 0)  # raises now what would be raised in the middle of the reply

        def rest(text: str, left: int) -> Guide | None:
            guide = Guide(words, grammar, left)
            return guide if guide.skip(text) else None

        return {"call": (begun, rest)}


class Adapted:
    """A view of a loaded model that wears another adapter."""

    def __init__(self, of: TransformersChat, adapter: str | None) -> None:
        self._of, self._adapter = of, adapter
        self.model = f"{of.model}+{adapter}" if adapter else of.model

    def __repr__(self) -> str:
        return f"Adapted({self._of!r}, {self._adapter!r})"

    def adapted(self, adapter: str | None) -> LLM:
        """The same network wearing `adapter`."""
        return self._of.adapted(adapter)

    def chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        schema: Mapping[str, Any] | None = None,
        sampling: Sampling = Sampling(),
    ) -> Iterator[Delta]:
        """The reply, in deltas, as `TransformersChat.chat` gives them."""
        return self._of.wearing(self._adapter, messages, tools, schema, sampling)


def adapted(params: AdaptedParams) -> LLM:
    """`llm.adapted`."""
    return params.of.adapted(params.adapter)


def _closable(guide: Guide) -> Guide:
    if guide.closing is None:
        raise CallError(
            "the shortest reply that satisfies the schema needs more tokens than there may be",
            hint="raise max_tokens, shorten the request, or ask for less",
        )
    return guide


# ---------------------------------------------------------------- loading


def _network(params: Params) -> Any:
    """The network, on its device."""
    device = params.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    network: Any
    if params.network is not None:
        network = params.network.build()
        if params.dtype != "auto":
            network = network.to(_DTYPES[params.dtype])
    else:
        folder = _folder(params.folder, "config.json")
        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            network = transformers.AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=_DTYPES.get(params.dtype, "auto"),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
            )
        except Exception as error:  # transformers raises whatever its parts raise
            raise BuildError(
                f"{folder}: the network cannot be loaded: {' '.join(str(error).split())[:300]}",
                hint="give a folder that save_pretrained wrote; one of dougong's blocks goes into network: "
                "{use: pretrained, ...}",
            ) from error
        finally:
            if shown:
                logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return network.to(device)
    except (RuntimeError, AssertionError) as error:
        raise BuildError(
            f"device {params.device!r} cannot be used: {error}", hint="device: cpu runs anywhere"
        ) from error


def _tokenizer(place: Path) -> Any:
    folder = _folder(place, "tokenizer.json")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    except Exception as error:
        raise BuildError(
            f"{folder}: the tokenizer cannot be loaded: {' '.join(str(error).split())[:300]}",
            hint="give a folder that the tokenizer's save_pretrained wrote",
        ) from error
    return tokenizer


def _folder(place: Path, file: str) -> Path:
    if not (place / file).is_file():
        raise BuildError(f"{place} holds no {file}", hint="give the folder of a checkpoint; nothing is downloaded")
    return place


def _wear(network: Any, name: str, place: Path) -> None:
    """Load the adapter in `place`, a peft folder, into `network`."""
    _folder(place, "adapter_config.json")
    _folder(place, "adapter_model.safetensors")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft warns that there is another adapter
            network.load_adapter(str(place.resolve()), adapter_name=name)  # a path that exists: no look at the hub
    except ImportError as error:
        raise BuildError("adapters need peft", hint="pip install 'dougong-llm-transformers[adapters]'") from error
    except Exception as error:
        raise BuildError(
            f"{place}: the adapter {name!r} cannot be loaded: {' '.join(str(error).split())[:300]}",
            hint="give an adapter that was trained on this network",
        ) from error


def _ends(network: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end a turn, as generation config, config and tokenizer say together."""
    named = [network.generation_config.eos_token_id, network.config.eos_token_id, tokenizer.eos_token_id]
    return frozenset(
        id for some in named for id in (some if isinstance(some, (list, tuple)) else [some]) if id is not None
    )


def _context(network: Any) -> int | None:
    config = network.config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length"):
        if isinstance(found := getattr(config, name, None), int) and found > 0:
            return found
    return None
