# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Fine-tune a SOC or SOC++ model on sentences about videos, with Accelerate.

On one's own clips (`transformers_soc.data.folder` says how the folder looks):

    accelerate launch examples/finetune_referring_video_segmentation.py \
        --dataset folder --data_root clips --model_name_or_path model --output_dir out --mixed_precision bf16

On generated clips, a small model from its configuration:

    accelerate launch examples/finetune_referring_video_segmentation.py \
        --dataset moving_shapes --config_name config.json --processor_name processor --output_dir out

On a benchmark, with the settings of a released checkpoint (`examples/recipes`); other arguments take precedence:

    accelerate launch examples/finetune_referring_video_segmentation.py \
        --recipe examples/recipes/soc_a2d_from_scratch_swin_t.yaml --data_root a2d_sentences --output_dir out

On several data sets at once, each in its folder, or all in one:

    accelerate launch examples/finetune_referring_video_segmentation.py \
        --dataset refcoco mevis --data_root coco mevis --model_name_or_path model --output_dir out

The output folder gets `best` and `last`, models with their processor for `from_pretrained`; `log.jsonl`, a line for
each logged step and each evaluation; and `checkpoint-<step>`. After an interruption the same command with
`--resume_from_checkpoint latest` goes on as if nothing had happened.

Several processes train as one with the joint batch would. On CPUs start them with
`torchrun --nproc_per_node 2 examples/finetune_referring_video_segmentation.py --cpu ...`; `accelerate launch --cpu`
starts several only through MPI.
"""

import argparse
import json
import math
import multiprocessing
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import datasets
import torch
import yaml
from accelerate import Accelerator
from accelerate.logging import get_logger
from accelerate.utils import DistributedDataParallelKwargs, gather_object, send_to_device, set_seed
from huggingface_hub import create_repo, upload_folder
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import AutoModel, AutoTokenizer

from transformers_soc import SocConfig, SocModel, SocProcessor, SocVideoProcessor
from transformers_soc.cli.launch import ending_cleanly
from transformers_soc.conversion import convert_video_swin_state_dict
from transformers_soc.data.benchmarks import BENCHMARKS, load_benchmark
from transformers_soc.data.clips import ClipDataset, EpochStream
from transformers_soc.data.collator import SocDataCollator
from transformers_soc.data.folder import load_folder
from transformers_soc.data.moving_shapes import load_moving_shapes
from transformers_soc.data.transforms import CLIP_POLICIES, FLIP_WORDS, Augmentation
from transformers_soc.memory import keep_freed_memory
from transformers_soc.metrics.evaluation import score_videos
from transformers_soc.metrics.segmentation import format_table, summarize
from transformers_soc.modeling_soc import CLASS_PRIOR_BIAS
from transformers_soc.outputs import naming, only_writer
from transformers_soc.video_io import replacing

logger = get_logger(__name__)

# The arguments that say what model training starts from, and those that fill parts of a new one.
MODEL_SOURCES = ("model_name_or_path", "preset", "config_name")
PART_WEIGHTS = ("backbone_weights", "text_weights")

STATE_FILE, EMA_FILE, LOG_FILE = "training_state.json", "ema.safetensors", "log.jsonl"


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip(), allow_abbrev=False)
    add = parser.add_argument
    # With a negative form, which overrides what a recipe switches on.
    switch: dict[str, Any] = {"action": argparse.BooleanOptionalAction, "default": False}

    add("--recipe", type=Path, help="A YAML file of arguments, which those of the command line override.")

    add("--dataset", nargs="+", choices=["moving_shapes", "folder", *BENCHMARKS], default=["moving_shapes"])
    add("--data_root", nargs="+", type=Path, default=[], help="The folder of all data sets, or one for each.")
    add("--train_split", default="train")
    add("--validation_split", default="validation", help="Evaluated during training; 'none': no evaluation.")
    add("--num_train_videos", type=int, default=10_000, help="Of generated data.")
    add("--num_validation_videos", type=int, default=200, help="Of generated data.")
    add("--data_seed", type=int, default=0, help="Of generated data.")
    add("--data_options", type=json.loads, default={}, help="Of the loader, as JSON; for one data set only.")
    add("--tolerate_errors", **switch, help="Leave out clips that cannot be read, with a warning that counts them.")
    add("--images_as_videos", **switch, help="Images of RefCOCO become pseudo-videos of `--window_size` frames.")

    add("--model_name_or_path", help="A model to fine-tune.")
    add("--preset", help="Instead, a new model of this preset of `SocConfig.from_preset`.")
    add("--config_name", help="Instead, a new model of this configuration: a folder, a file or a name on the Hub.")
    add("--processor_name", help="Default: `--model_name_or_path`.")
    add("--tokenizer_name", help="For a new processor, where `--processor_name` is not given.")
    add("--short_side", type=int, help="Short side of the frames. Default: that of the processor.")
    add("--long_side", type=int, help="Limit of the long side. Default: that of the processor.")
    add("--backbone_weights", type=Path, help="Of a new model: a Kinetics checkpoint of the Video-Swin release.")
    add("--text_weights", help="Of a new model: a folder or a name on the Hub, such as roberta-base.")
    add("--new_class_heads", **switch, help="Start them anew, as officially after pre-training on images.")
    add("--freeze_text_encoder", **switch)
    add("--class_names", nargs="*", default=[], help="Categories, for a model of several classes.")

    add("--clip_policy", choices=CLIP_POLICIES, help="See `ClipDataset`. Default: whole for moving_shapes, else soc.")
    add("--window_size", type=int, default=8, help="Frames of a clip.")
    add("--expressions_per_clip", type=int, default=6, help="Expressions that share a clip in one step, at most.")
    add("--flip_probability", type=float, default=0.5, help="The official recipes: 0.3085.")
    add("--flip_words", choices=FLIP_WORDS, default="word", help="How a flip swaps left and right in sentences.")
    add("--vertical_flip_probability", type=float, default=0.0)
    add("--transpose_probability", type=float, default=0.0)
    add("--time_reversal_probability", type=float, default=0.0)
    add("--distortion_probability", type=float, default=0.0, help="Of changed colours.")
    add("--short_sides", type=int, nargs="*", default=[], help="Train at several scales; the limit is `--long_side`.")

    add("--per_device_train_batch_size", type=int, default=1, help="Clips.")
    add("--gradient_accumulation_steps", type=int, default=1)
    add("--gradient_checkpointing", **switch, help="Less memory, more time.")
    add("--num_train_epochs", type=int, default=30)
    add("--max_train_steps", type=int, help="Updates; overrides `--num_train_epochs`.")
    add("--learning_rate", type=float, default=1e-4)
    add("--backbone_learning_rate", type=float, default=1e-5)
    add("--text_learning_rate", type=float, default=5e-6)
    add("--weight_decay", type=float, default=1e-4)
    add("--lr_schedule", choices=["step", "cosine", "constant"], default="step")
    add("--lr_drop_epochs", type=int, nargs="*", default=[20], help="With the schedule 'step'.")
    add("--lr_gamma", type=float, default=0.1, help="Factor at each of them.")
    add("--num_warmup_steps", type=int, default=0)
    add("--max_grad_norm", type=float, default=0.1)
    add("--ema_decay", type=float, default=0.0, help="Evaluate and save a moving average of the weights; 0: none.")
    add("--mixed_precision", choices=["no", "fp16", "bf16"], default="no")
    add("--seed", type=int, default=42)
    add("--num_workers", type=int, default=0, help="Processes that load data, for each process that trains.")
    add("--cpu", **switch)

    add("--output_dir", type=Path, required=True)
    add("--checkpointing_steps", default="epoch", help="Updates between checkpoints, or 'epoch'.")
    add("--checkpoints_total_limit", type=int, default=2, help="How many are kept.")
    add("--resume_from_checkpoint", help="A folder, or 'latest', which begins anew where there is none.")
    add("--evaluation_steps", default="epoch", help="Updates between evaluations, or 'epoch'.")
    add("--threshold", type=float, help="Score below which evaluation takes the answer for 'no target'.")
    add("--logging_steps", type=int, default=10)
    add("--profile", **switch, help="Wait for the device, so that the logged times are true on a GPU.")
    add("--with_tracking", **switch)
    add("--report_to", default="tensorboard", help="A tracker of Accelerate, or 'all'.")
    add("--push_to_hub", **switch, help="Upload the best model in the end.")
    add("--hub_model_id", help="Default: the name of the output folder.")
    add("--hub_private_repo", **switch)

    arguments = sys.argv[1:] if arguments is None else arguments
    args = parser.parse_args([*read_recipe(arguments, parser), *arguments])
    check_args(args, parser)
    args.clip_policy = args.clip_policy or ("whole" if args.dataset == ["moving_shapes"] else "soc")
    return args


def read_recipe(explicit: list[str], parser: argparse.ArgumentParser) -> list[str]:
    """
    The arguments of the recipe that the `explicit` ones name, as a command line would give them. Where they name
    another model, the model of the recipe goes.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("recipe", *MODEL_SOURCES):
        early.add_argument(f"--{name}")
    given = early.parse_known_args(explicit)[0]
    if given.recipe is None:
        return []
    path = Path(given.recipe)
    if not path.is_file():
        parser.error(f"there is no recipe {given.recipe!r}")
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        parser.error(f"{given.recipe!r} is not valid YAML: {error}")
    if not isinstance(recipe, dict):
        parser.error(f"{given.recipe!r} is no recipe: it must map names of arguments to values")
    known = {action.dest for action in parser._actions} - {"help", "recipe"}
    replaced = any(getattr(given, source) is not None for source in MODEL_SOURCES)
    arguments: list[str] = []
    for name, value in recipe.items():
        if name not in known:
            parser.error(f"{given.recipe!r}: there is no argument {name!r}")
        if replaced and name in (*MODEL_SOURCES, *PART_WEIGHTS):
            continue
        if isinstance(value, bool):
            arguments.append(f"--{name}" if value else f"--no-{name}")
        elif isinstance(value, list):
            arguments += [f"--{name}", *map(str, value)]
        else:
            arguments.append(f"--{name}={json.dumps(value) if isinstance(value, dict) else value}")
    return arguments


def check_args(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Refuse arguments that do not go together."""
    folders = [name for name in args.dataset if name != "moving_shapes"]
    if folders and not args.data_root:
        parser.error(f"--dataset {' '.join(folders)} needs --data_root")
    if folders and len(args.data_root) not in (1, len(folders)):
        parser.error(f"give one --data_root, or one for each of {', '.join(folders)}; got {len(args.data_root)}")
    if args.data_options and len(args.dataset) > 1:
        parser.error("--data_options needs a single --dataset")
    if sum(getattr(args, source) is not None for source in MODEL_SOURCES) != 1:
        parser.error("give one of --model_name_or_path, --preset and --config_name")
    if args.model_name_or_path is None and args.processor_name is None and args.tokenizer_name is None:
        parser.error("a new model needs --processor_name or --tokenizer_name")
    if args.model_name_or_path is not None and (args.backbone_weights or args.text_weights):
        parser.error("--backbone_weights and --text_weights are for a new model, not for --model_name_or_path")


# ---- data and model


def load_table(args: argparse.Namespace, split: str, num_videos: int) -> Any:
    """A split of all data sets, one after the other, in the common schema."""
    roots = iter(args.data_root * len(args.dataset) if len(args.data_root) == 1 else args.data_root)
    tables = []
    for name in args.dataset:
        if name == "moving_shapes":
            tables.append(load_moving_shapes(split, num_videos, seed=args.data_seed, **args.data_options))
        elif name == "folder":
            tables.append(load_folder(next(roots), split))
        else:
            options = {"as_video": True} if args.images_as_videos and name.startswith("refcoco") else {}
            tables.append(load_benchmark(name, next(roots), split, **(options | args.data_options)))
    return datasets.concatenate_datasets(tables)


def load_model(args: argparse.Namespace) -> tuple[SocModel, SocProcessor]:
    """The model and its processor, from wherever the arguments say."""
    source = args.processor_name or args.model_name_or_path
    if source is not None:
        processor = SocProcessor.from_pretrained(source)
    else:
        processor = SocProcessor(SocVideoProcessor(), AutoTokenizer.from_pretrained(args.tokenizer_name))
    size = processor.video_processor.size
    sides = {
        "shortest_edge": args.short_side or size["shortest_edge"],
        "longest_edge": args.long_side or size.get("longest_edge"),
    }
    processor.video_processor.size = {name: side for name, side in sides.items() if side is not None}
    if args.model_name_or_path is not None:
        model = SocModel.from_pretrained(args.model_name_or_path, dtype=torch.float32)
    elif args.preset is not None:
        model = SocModel(SocConfig.from_preset(args.preset))
    else:
        model = SocModel(SocConfig.from_pretrained(args.config_name))
    load_parts(model, args)
    if args.freeze_text_encoder:
        model.text_encoder.requires_grad_(False)
    if args.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    return model, processor


def load_parts(model: SocModel, args: argparse.Namespace) -> None:
    """Pre-trained weights of the parts of a new model, and new class heads for a trained one."""
    if args.backbone_weights is not None:
        checkpoint = torch.load(args.backbone_weights, map_location="cpu", weights_only=True)
        model.backbone.load_state_dict(convert_video_swin_state_dict(checkpoint, model.backbone.config))
    if args.text_weights is not None:
        pooled = model.config.uses_pooled_sentence
        text = AutoModel.from_pretrained(args.text_weights, add_pooling_layer=pooled, dtype=torch.float32)
        model.text_encoder.load_state_dict(text.state_dict())
    for head in model.class_heads if args.new_class_heads else ():
        head.reset_parameters()
        torch.nn.init.constant_(head.bias, CLASS_PRIOR_BIAS)


class LossOnly(torch.nn.Module):
    """
    The model as data-parallel training sees it. Through what else the model returns, a batch without targets, which
    trains the class heads alone, would give the other weights gradients of zero, and the optimizer would move them.
    """

    def __init__(self, model: SocModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, **batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        outputs = self.model(**batch)
        return outputs.loss, outputs.loss_dict


# ---- optimisation


def build_optimizer(model: torch.nn.Module, args: argparse.Namespace) -> torch.optim.Optimizer:
    """AdamW with three learning rates, of the backbone, the text encoder and the rest."""
    rates = {"backbone": args.backbone_learning_rate, "text_encoder": args.text_learning_rate, "": args.learning_rate}
    groups: dict[str, list[torch.nn.Parameter]] = {name: [] for name in rates}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[next(part for part in rates if part in name)].append(parameter)
    parameters = [{"params": groups[name], "lr": rate, "base_lr": rate} for name, rate in rates.items()]
    return torch.optim.AdamW(parameters, weight_decay=args.weight_decay)


def learning_rate_factor(step: int, steps_per_epoch: float, total_steps: int, args: argparse.Namespace) -> float:
    """Share of the full learning rates in the update after `step` updates."""
    if step < args.num_warmup_steps:
        return (step + 1) / args.num_warmup_steps
    if args.lr_schedule == "constant":
        return 1.0
    if args.lr_schedule == "step":
        drops = sum(step >= epoch * steps_per_epoch for epoch in args.lr_drop_epochs)
        return args.lr_gamma**drops
    done = (step - args.num_warmup_steps) / max(1, total_steps - args.num_warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class MovingAverage:
    """Exponential moving average of a model's weights."""

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: weight.detach().clone() for name, weight in self._trained(model)}

    @staticmethod
    def _trained(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
        return ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)

    @torch.no_grad()
    def update(self, model: torch.nn.Module) -> None:
        for name, weight in self._trained(model):
            self.weights[name].lerp_(weight, 1 - self.decay)

    @contextmanager
    def applied_to(self, model: torch.nn.Module) -> Iterator[None]:
        """Lend the average to the model."""
        self._exchange(model)
        try:
            yield
        finally:
            self._exchange(model)

    @torch.no_grad()
    def _exchange(self, model: torch.nn.Module) -> None:
        for name, weight in self._trained(model):
            own = weight.clone()
            weight.copy_(self.weights[name])
            self.weights[name].copy_(own)


# ---- files


def replace_folder(temporary: Path, folder: Path) -> None:
    """Put a complete folder in the place of another; whoever looks finds the old one, none, or the new one."""
    for path in temporary.rglob("*"):
        if path.is_file():  # on the disk before it can be found, should the power fail
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        os.replace(folder, old)
    os.replace(temporary, folder)
    shutil.rmtree(old, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder so that it is never found incomplete."""
    old = folder.with_name(f".{folder.name}.old")
    os.replace(folder, old)
    shutil.rmtree(old)


def tidy_up(output_dir: Path) -> None:
    """Remove what a killed process left behind, and put back a folder that it was about to replace."""
    for path in output_dir.glob(".*.part"):
        shutil.rmtree(path)
    for old in output_dir.glob(".*.old"):
        folder = old.with_name(old.name.removeprefix(".").removesuffix(".old"))
        if folder.exists() or folder.name.startswith("checkpoint-"):
            shutil.rmtree(old)
        else:
            os.replace(old, folder)


@contextmanager
def own_folder(output_dir: Path) -> Iterator[None]:
    """Keep other runs out of the output folder, and leave nothing half-written in it, whatever ends the block."""
    with only_writer(output_dir):
        tidy_up(output_dir)
        try:
            yield
        finally:
            tidy_up(output_dir)


def list_checkpoints(output_dir: Path) -> list[Path]:
    """Complete checkpoints, the oldest first."""
    found = [path for path in output_dir.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")))


def save_checkpoint(
    accelerator: Accelerator, args: argparse.Namespace, state: dict[str, Any], average: MovingAverage | None
) -> None:
    """Write `checkpoint-<step>`, which appears only when it is complete, and remove the oldest ones."""
    folder = args.output_dir / f"checkpoint-{state['step']}"
    temporary = args.output_dir / f".{folder.name}.part"
    with naming(folder):
        accelerator.save_state(str(temporary))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if average is not None:
            with naming(folder):
                save_file(average.weights, temporary / EMA_FILE)
        (temporary / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")
        replace_folder(temporary, folder)
        for old in list_checkpoints(args.output_dir)[: -args.checkpoints_total_limit]:
            remove_folder(old)
    accelerator.wait_for_everyone()


def load_checkpoint(accelerator: Accelerator, folder: Path, average: MovingAverage | None) -> dict[str, Any]:
    """Restore weights, optimizer and random states; returns the counters."""
    if not (folder / STATE_FILE).is_file():
        raise FileNotFoundError(f"{folder} is no checkpoint: it has no {STATE_FILE}")
    accelerator.load_state(str(folder))
    if average is not None and (folder / EMA_FILE).is_file():
        for name, weight in load_file(folder / EMA_FILE).items():
            average.weights[name].copy_(weight)
    return json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))


def find_checkpoint(args: argparse.Namespace) -> Path | None:
    """The checkpoint to go on from, if any."""
    found = list_checkpoints(args.output_dir)
    if args.resume_from_checkpoint is None:
        if found:
            raise SystemExit(
                f"{args.output_dir} holds checkpoints: pass --resume_from_checkpoint latest, or another --output_dir"
            )
        return None
    if args.resume_from_checkpoint == "latest":
        return found[-1] if found else None
    return Path(args.resume_from_checkpoint)


def save_model(
    accelerator: Accelerator, model: SocModel, processor: SocProcessor, average: MovingAverage | None, folder: Path
) -> None:
    """Save the model, or its moving average, and the processor as a folder for `from_pretrained`."""
    if accelerator.is_main_process:
        temporary = folder.with_name(f".{folder.name}.part")
        with naming(folder), borrowed_weights(average, model):
            model.save_pretrained(temporary)
        processor.save_pretrained(temporary)
        replace_folder(temporary, folder)
    accelerator.wait_for_everyone()


@contextmanager
def borrowed_weights(average: MovingAverage | None, model: torch.nn.Module) -> Iterator[None]:
    """The moving average in the model, if there is one."""
    if average is None:
        yield
    else:
        with average.applied_to(model):
            yield


class Log:
    """`log.jsonl` and the trackers. Lines after `step` are of an interrupted run, and go."""

    def __init__(self, accelerator: Accelerator, path: Path, step: int) -> None:
        self.accelerator = accelerator
        self.path = path
        if accelerator.is_main_process:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
            # The last line of a killed process may be incomplete.
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
            with replacing(path) as temporary:
                temporary.write_text("".join(kept), encoding="utf-8")

    def write(self, step: int, values: dict[str, Any]) -> None:
        self.accelerator.log(values, step=step)
        if self.accelerator.is_main_process:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step} | values) + "\n")


# ---- evaluation and training


def evaluate(
    accelerator: Accelerator, model: SocModel, processor: SocProcessor, table: Any, args: argparse.Namespace
) -> dict[str, Any]:
    """Means over all expressions of a table, each scored by one process; see `metrics.segmentation.summarize`."""
    model.eval()
    share = {"rank": accelerator.process_index, "num_processes": accelerator.num_processes}
    with accelerator.autocast():
        videos = score_videos(model, processor, table, threshold=args.threshold, **share)
        bar = tqdm(videos, "evaluation", leave=False, disable=not accelerator.is_local_main_process, unit="video")
        scores = [score for video in bar for score in video]
    model.train()
    return summarize(gather_object(scores))


class Stopwatch:
    """Seconds spent on each part of the work since the last report."""

    def __init__(self, device: torch.device, synchronize: bool) -> None:
        self.synchronize = synchronize and device.type != "cpu"
        self.seconds = dict.fromkeys(("data", "forward", "backward"), 0.0)
        self.last = time.perf_counter()

    def lap(self, part: str | None = None) -> None:
        """Count the time since the last lap for a part, or for none."""
        if self.synchronize:
            torch.accelerator.synchronize()
        now = time.perf_counter()
        if part is not None:
            self.seconds[part] += now - self.last
        self.last = now

    def report(self, clips: int) -> dict[str, float]:
        total = sum(self.seconds.values())
        values = {f"seconds_{part}": seconds for part, seconds in self.seconds.items()}
        self.seconds = dict.fromkeys(self.seconds, 0.0)
        return values | {"clips_per_second": clips / total}


def end_with_the_parent(worker: int) -> None:
    """In a loader: end with the training, whose death torch does not notice under a fork server."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def make_loader(
    accelerator: Accelerator, dataset: ClipDataset, processor: SocProcessor, done_clips: int, args: argparse.Namespace
) -> DataLoader:
    """Batches without end for this process, from the first clip after those that all processes have done."""
    stream = EpochStream(
        len(dataset),
        args.per_device_train_batch_size,
        accelerator.process_index,
        accelerator.num_processes,
        start=done_clips // (args.per_device_train_batch_size * accelerator.num_processes),
        seed=args.seed,
    )
    return DataLoader(
        dataset,
        batch_sampler=stream,
        collate_fn=SocDataCollator(processor, do_resize=False if args.short_sides else None),
        num_workers=args.num_workers,
        worker_init_fn=end_with_the_parent,
        pin_memory=accelerator.device.type == "cuda",
        generator=torch.Generator(),  # to start loading must not draw from the generator of the dropouts
    )


def train_step(
    accelerator: Accelerator,
    wrapped: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[dict[str, Any]],
    max_grad_norm: float,
    watch: Stopwatch,
) -> dict[str, torch.Tensor]:
    """One update from the next batches; returns the losses, averaged over them, and the norm of the gradient."""
    losses: dict[str, Any] = {}
    accumulated = accelerator.gradient_accumulation_steps
    for _ in range(accumulated):
        with accelerator.accumulate(wrapped):
            watch.lap()
            batch = send_to_device(next(batches), accelerator.device, non_blocking=True)
            watch.lap("data")
            loss, loss_dict = wrapped(**batch)
            watch.lap("forward")
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                losses["grad_norm"] = accelerator.clip_grad_norm_(wrapped.parameters(), max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            watch.lap("backward")
        for name, value in ({"loss": loss} | loss_dict).items():
            losses[name] = losses.get(name, 0) + value.detach() / accumulated
    return losses


def mean_over_processes(accelerator: Accelerator, values: dict[str, torch.Tensor]) -> dict[str, float]:
    if not values:
        return {}
    stacked = torch.stack([torch.as_tensor(value, device=accelerator.device).float() for value in values.values()])
    means: Any = accelerator.reduce(stacked, "mean")
    return dict(zip(values, means.tolist(), strict=True))


def steps_between(value: str, steps_per_epoch: float) -> int:
    """Updates between two events, from a number or 'epoch'."""
    return max(1, math.ceil(steps_per_epoch)) if value == "epoch" else int(value)


def train(
    accelerator: Accelerator,
    model: SocModel,
    processor: SocProcessor,
    dataset: ClipDataset,
    validation_table: Any,
    args: argparse.Namespace,
) -> None:
    """Train from the beginning or a checkpoint, and write what the module's description says."""
    checkpoint = find_checkpoint(args)
    wrapped = LossOnly(model.train())
    wrapped, optimizer = accelerator.prepare(wrapped, build_optimizer(wrapped, args))
    average = MovingAverage(model, args.ema_decay) if args.ema_decay else None
    # The counters, and the sums of the losses of the last steps that are not logged yet.
    state: dict[str, Any] = {"step": 0, "clips": 0, "best": -1.0, "sums": {}, "summed_steps": 0}
    if checkpoint is not None:
        state = load_checkpoint(accelerator, checkpoint, average)
        logger.info(f"Going on from {checkpoint}")
    sums = {name: torch.tensor(value, device=accelerator.device) for name, value in state["sums"].items()}
    log = Log(accelerator, args.output_dir / LOG_FILE, state["step"])

    clips_per_step = args.per_device_train_batch_size * accelerator.num_processes * args.gradient_accumulation_steps
    steps_per_epoch = len(dataset) / clips_per_step
    total_steps = args.max_train_steps or math.ceil(args.num_train_epochs * steps_per_epoch)
    checkpointing_steps = steps_between(args.checkpointing_steps, steps_per_epoch)
    evaluation_steps = steps_between(args.evaluation_steps, steps_per_epoch)
    batches = iter(make_loader(accelerator, dataset, processor, state["clips"], args))
    watch = Stopwatch(accelerator.device, args.profile)
    timed_steps = 0
    hidden = not accelerator.is_local_main_process
    progress = tqdm(total=total_steps, initial=state["step"], unit="step", disable=hidden)

    for step in range(state["step"] + 1, total_steps + 1):
        factor = learning_rate_factor(step - 1, steps_per_epoch, total_steps, args)
        for group in optimizer.param_groups:
            group["lr"] = factor * group["base_lr"]
        losses = train_step(accelerator, wrapped, optimizer, batches, args.max_grad_norm, watch)
        if average is not None:
            average.update(model)
        sums = {name: sums.get(name, 0) + value for name, value in losses.items()}
        state |= {"step": step, "clips": state["clips"] + clips_per_step, "summed_steps": state["summed_steps"] + 1}
        timed_steps += 1
        progress.update()

        if step % args.logging_steps == 0 or step == total_steps:
            means = mean_over_processes(accelerator, {name: sums[name] / state["summed_steps"] for name in sums})
            names = ("lr_backbone", "lr_text", "lr")
            rates = {name: group["lr"] for name, group in zip(names, optimizer.param_groups, strict=True)}
            timing = watch.report(timed_steps * clips_per_step)
            log.write(step, means | rates | {"epoch": state["clips"] / len(dataset)} | timing)
            progress.set_postfix(loss=f"{means['loss']:.3f}")
            sums, state["summed_steps"], timed_steps = {}, 0, 0
        if validation_table is not None and (step % evaluation_steps == 0 or step == total_steps):
            with borrowed_weights(average, model):
                summary = evaluate(accelerator, model, processor, validation_table, args)
            flat = {f"{group}/{name}": value for group, means in summary.items() for name, value in means.items()}
            log.write(step, {name: value for name, value in flat.items() if value is not None})
            if accelerator.is_main_process:
                tqdm.write(f"after {step} steps\n{format_table(summary)}")
            if summary["all"]["J&F"] > state["best"]:
                state["best"] = summary["all"]["J&F"]
                save_model(accelerator, model, processor, average, args.output_dir / "best")
        if step % checkpointing_steps == 0 or step == total_steps:
            state["sums"] = mean_over_processes(accelerator, sums)
            save_checkpoint(accelerator, args, state, average)

    progress.close()
    save_model(accelerator, model, processor, average, args.output_dir / "last")


def main(arguments: list[str] | None = None) -> None:
    args = parse_args(arguments)
    accelerator = Accelerator(
        cpu=args.cpu,
        mixed_precision=args.mixed_precision,
        gradient_accumulation_steps=args.gradient_accumulation_steps,
        log_with=args.report_to if args.with_tracking else None,
        project_dir=args.output_dir,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    with own_folder(args.output_dir) if accelerator.is_main_process else nullcontext():
        run(accelerator, args)
    accelerator.end_training()


def run(accelerator: Accelerator, args: argparse.Namespace) -> None:
    """Load data and model, train, and upload."""
    accelerator.wait_for_everyone()
    if args.with_tracking:
        accelerator.init_trackers("soc", {name: str(value) for name, value in vars(args).items()})
    repo_id = None
    if args.push_to_hub and accelerator.is_main_process:
        name = args.hub_model_id or args.output_dir.resolve().name
        repo_id = create_repo(name, private=args.hub_private_repo, exist_ok=True).repo_id

    # The weights of a new model are the same in all processes, what is drawn in training is not.
    set_seed(args.seed)
    model, processor = load_model(args)
    set_seed(args.seed, device_specific=True)
    evaluated = args.validation_split != "none"
    with accelerator.main_process_first():
        table = load_table(args, args.train_split, args.num_train_videos)
        validation_table = load_table(args, args.validation_split, args.num_validation_videos) if evaluated else None
    augmentation = Augmentation(
        flip_probability=args.flip_probability,
        flip_words=args.flip_words,
        vertical_flip_probability=args.vertical_flip_probability,
        transpose_probability=args.transpose_probability,
        time_reversal_probability=args.time_reversal_probability,
        distortion_probability=args.distortion_probability,
        short_sides=args.short_sides,
        long_side=args.long_side,
    )
    dataset = ClipDataset(
        table,
        args.clip_policy,
        args.window_size,
        args.expressions_per_clip,
        augmentation,
        args.class_names,
        args.seed,
        "skip" if args.tolerate_errors else "raise",
    )
    train(accelerator, model, processor, dataset, validation_table, args)
    if repo_id is not None:
        folder = args.output_dir / ("best" if evaluated else "last")
        upload_folder(repo_id=repo_id, folder_path=folder, commit_message="End of training")


if __name__ == "__main__":
    with ending_cleanly():
        main()
