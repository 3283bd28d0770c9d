"""transformers' Trainer, fed by an objective, with checkpoints that are exact and hold no pickle."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import transformers
from dougong import ConfigError
from dougong.run import report
from safetensors.torch import load_file
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.utils.data import DataLoader, IterableDataset
from transformers.utils import logging

from dougong_command_train import Params, checkpoint
from dougong_command_train.log import Log

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
_WHOLE_BACK = StateDictOptions(full_state_dict=True)


def rate(step: int, p: Params, steps: int) -> float:
    """The learning rate of step `step` (from 0), as a share of ``lr``."""
    if step < p.warmup:
        return (step + 1) / (p.warmup + 1)
    if p.schedule == "constant":
        return 1.0
    low, done = p.min_lr / p.lr, min(1.0, (step - p.warmup) / max(1, steps - p.warmup))
    return low + (1 - low) * ((1 - done) if p.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done)))


class _Rows(IterableDataset[Mapping[str, torch.Tensor]]):
    """This process's rows of each batch, from a step on: where training goes on after a stop, its data do."""

    def __init__(self, batches: Any, first: int, rank: int, world: int) -> None:
        self._batches, self._first, self._rank, self._world = batches, first, rank, world

    def __iter__(self) -> Iterator[Mapping[str, torch.Tensor]]:
        for batch in islice(self._batches, self._first, None):
            rows = {len(value) for value in batch.values() if value.ndim}
            if any(count % self._world for count in rows):
                raise ConfigError(
                    f"a batch of {min(rows)} rows cannot be divided among {self._world} processes",
                    hint="make batch a multiple of the number of processes",
                )
            yield {name: value[self._rank :: self._world] if value.ndim else value for name, value in batch.items()}
        raise ConfigError("the training split has no more batches", hint="lower steps, or raise epochs")


class ExactTrainer(transformers.Trainer):
    """Trains `network` by `objective`; one batch of the objective is one batch, however many processes share it."""

    def __init__(self, network: Any, objective: Any, p: Params, steps: int, facts: Mapping[str, Any]) -> None:
        gpu = torch.cuda.is_available()
        if p.shard and not (gpu and "WORLD_SIZE" in os.environ):
            raise ConfigError(
                "shard has no effect here: accelerate shards among GPUs, in several processes",
                hint="set shard: false, or start it by torchrun on GPUs",
            )
        self._objective, self._p, self._steps, self._facts = objective, p, steps, facts
        self.start, self._measured = 0, (-1, dict[str, float]())
        super().__init__(
            network,
            transformers.TrainingArguments(
                output_dir=str(p.out),
                max_steps=steps,
                learning_rate=p.lr,
                weight_decay=p.weight_decay,
                adam_beta1=p.beta1,
                adam_beta2=p.beta2,
                max_grad_norm=p.clip,
                gradient_accumulation_steps=p.accumulate,
                bf16=p.precision == "bfloat16" or (p.precision == "auto" and gpu and torch.cuda.is_bf16_supported()),
                fsdp=True if p.shard else None,
                activation_checkpointing=p.recompute,
                eval_strategy="steps" if p.evaluate else "no",
                eval_steps=p.evaluate or None,
                save_strategy="steps" if p.save else "no",
                save_steps=p.save or 500,
                logging_steps=p.log,
                logging_nan_inf_filter=False,
                remove_unused_columns=False,
                ignore_data_skip=True,  # _Rows begins where it should
                disable_tqdm=True,
                use_cpu=not gpu,
                ddp_backend="gloo" if not gpu and "WORLD_SIZE" in os.environ else None,
                seed=p.seed,
                report_to="none",
            ),
            train_dataset=_Rows((), 0, 0, 1),
            eval_dataset=_Rows((), 0, 0, 1),  # not looked at: `evaluate` asks the objective
            callbacks=[_Watch(self)],
        )
        self.remove_callback(transformers.PrinterCallback)
        self.model_accepts_loss_kwargs = False  # the objective's loss is a batch's mean
        torch.manual_seed(p.seed + self.args.process_index)  # processes drop out different units
        self.journal = Log(p.out) if self.args.should_save else None

    # ------------------------------------------------------------ steps

    def get_train_dataloader(self) -> DataLoader:
        first = self.start * self._p.accumulate
        rows = _Rows(self._objective.batches("train"), first, self.args.process_index, self.args.world_size)
        # The loader draws a seed when it is made: of its own generator, or resuming would shift the model's.
        return DataLoader(rows, batch_size=None, generator=torch.Generator().manual_seed(0))

    def train(self, resume_from_checkpoint: Any = None, **kwargs: Any) -> Any:
        self.start = checkpoint.step_of(Path(resume_from_checkpoint)) if resume_from_checkpoint else 0
        return super().train(resume_from_checkpoint, **kwargs)

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        loss = self._objective.loss(model, inputs)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()} at step {self.state.global_step + 1}")
        return (loss, None) if return_outputs else loss

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        if self.lr_scheduler is None:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer, lambda step: rate(step, self._p, self._steps)
            )
        return self.lr_scheduler

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        step, found = self._measured
        if step == self.state.global_step:
            return found
        model = self.model_wrapped if self.is_fsdp_enabled else self.accelerator.unwrap_model(self.model)
        found = {f"eval_{name}": value for name, value in self._objective.metric(model, "validation").items()}
        self.log(dict(found))
        self._measured = self.state.global_step, found
        return found

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if self.journal is not None and not any(name.startswith("train_") for name in logs):
            self.journal.write({"step": self.state.global_step, **logs})

    # ------------------------------------------------------------ checkpoints

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        place = self._p.out / f"checkpoint-{self.state.global_step}"
        self.save_model(str(place))
        if self.is_fsdp_enabled:
            optimizer = get_optimizer_state_dict(self.model_wrapped, self.optimizer.optimizer, options=_WHOLE)
        else:
            optimizer = self.optimizer.state_dict()
        if self.args.should_save:
            checkpoint.save_tensors(place / "optimizer.safetensors", optimizer)
            checkpoint.save_tensors(place / "scheduler.safetensors", self.lr_scheduler.state_dict())
            self.state.log_history = []  # log.jsonl has it
            self.state.save_to_json(str(place / "trainer_state.json"))
        self.accelerator.wait_for_everyone()
        checkpoint.save_tensors(place / f"chance-{self.args.process_index}.safetensors", checkpoint.chance())
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            checkpoint.finish(place, {**self._facts, "step": self.state.global_step})
            checkpoint.prune(self._p.out, self._p.keep)
        self.accelerator.wait_for_everyone()

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """The network and its tokenizer, as `from_pretrained` reads them."""
        place = Path(output_dir or self.args.output_dir)
        network = self.accelerator.unwrap_model(self.model)
        state = get_model_state_dict(self.model_wrapped, options=_WHOLE) if self.is_fsdp_enabled else None
        if self.args.should_save:
            network.save_pretrained(place, state_dict=state)
            if callable(make := getattr(self._objective.params.of, "tokenizer", None)):
                save_tokenizer(make(), self._objective.params.of.params, place)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        weights = load_file(Path(resume_from_checkpoint) / "model.safetensors")
        if self.is_fsdp_enabled:
            set_model_state_dict(model, weights, options=_WHOLE_BACK)
            return
        network = self.accelerator.unwrap_model(self.model)
        absent, unknown = network.load_state_dict(weights, strict=False)
        tied = set(getattr(network, "all_tied_weights_keys", None) or ())
        if unknown or set(absent) - tied:
            raise ConfigError(
                f"the weights of {resume_from_checkpoint} are not of this network: {(unknown + absent)[0]}",
                hint="give another out, or --fresh",
            )

    def _load_optimizer_and_scheduler(self, checkpoint_: str | None) -> None:
        if checkpoint_ is None:
            return
        place = Path(checkpoint_)
        optimizer = checkpoint.load_tensors(place / "optimizer.safetensors")
        if self.is_fsdp_enabled:
            set_optimizer_state_dict(self.model_wrapped, self.optimizer.optimizer, optimizer, options=_WHOLE_BACK)
        else:
            self.optimizer.load_state_dict(optimizer)
        self.lr_scheduler.load_state_dict(checkpoint.load_tensors(place / "scheduler.safetensors"))

    def _load_rng_state(self, checkpoint_: str | None) -> None:
        if checkpoint_ is None:
            return
        place = Path(checkpoint_) / f"chance-{self.args.process_index}.safetensors"
        if place.exists():  # absent where there are more processes than there were
            checkpoint.set_chance(checkpoint.load_tensors(place))

    def _load_scaler(self, checkpoint_: str | None) -> None:
        pass  # bfloat16 needs none


def save_tokenizer(tokenizer: Any, params: Any, place: Path) -> None:
    """``tokenizer.json`` and what transformers must know of it."""
    named = {f"{name}_token": getattr(params, name, None) for name in ("eos", "mask", "pad", "cls", "sep")}
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{name: token for name, token in named.items() if token}
    )
    fast.save_pretrained(place)


class _Watch(transformers.TrainerCallback):
    """Says how far training is."""

    def __init__(self, trainer: ExactTrainer) -> None:
        self._trainer, self._began = trainer, 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        done = state.global_step - self._trainer.start
        left = (time.monotonic() - self._began) / done * (state.max_steps - state.global_step)
        log = self._trainer.journal
        loss = f"loss {log.last['loss']:.4f}, " if log and "loss" in log.last else ""
        report("train", state.global_step, state.max_steps, f"{loss}{left:.0f} s left")


def _check(task: Any, network: Any) -> None:
    """What would fail after hours fails now. Raises ConfigError."""
    if task.params.evaluate is not None:
        try:
            task.batches("validation")
        except ValueError as error:
            raise ConfigError(str(error), hint="or set evaluate: null") from None
    if callable(make := getattr(task.params.of, "tokenizer", None)):
        tokens, most = make().get_vocab_size(), network.config.vocab_size
        if tokens > most:
            raise ConfigError(
                f"the tokenizer has {tokens} tokens, the network {most}",
                hint="raise vocab of the network, or lower that of the objective and remove its tokenizer file",
            )


def run(task: Any, facts: Mapping[str, Any], steps: int, resume: Path | None) -> dict[str, float]:
    """Train from `resume` or from the start to step `steps`; the last measurement. Leaves the network in ``out``."""
    p = task.params
    logging.disable_progress_bar()  # transformers' own, of writing files
    transformers.set_seed(p.seed)
    network = p.network.build()
    _check(task, network)
    trainer = ExactTrainer(network, task, p, steps, facts)
    if trainer.journal is not None:
        trainer.journal.cut(checkpoint.step_of(resume) if resume else 0)
    if resume is not None and checkpoint.step_of(resume) >= steps:
        trainer._load_from_checkpoint(str(resume), trainer.model_wrapped)
        trainer.state.global_step = checkpoint.step_of(resume)
    else:
        trainer.train(str(resume) if resume else None)
        if p.save and steps % p.save:
            trainer._save_checkpoint(trainer.model, None)
    found = {} if p.evaluate is None else trainer.evaluate()
    trainer.save_model()
    if trainer.journal is not None:
        trainer.journal.draw()
        (p.out / "training.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False), encoding="utf-8")
    return {name.removeprefix("eval_"): value for name, value in found.items()}
