# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Trains soc-plus-micro, the small SOC++ of the package, on MovingShapes clips that are drawn as they are needed.

Seven stages, each starting from the one before:
  stem        the convolutions before the attention learn to tell looks and headings apart, on short clips;
  attributes  the backbone says for each cell what the object there looks like and does (heads thrown away);
  grounding   the fused tokens say which cells a sentence means (heads thrown away);
  joint       the whole model learns the official losses;
  refusal     more of the same, with more sentences that have no target;
  scores      the same, with more weight on the scores, which tell a sentence without a target from the others;
  doubts      the same, with more of those sentences without a target that were hardest to refuse.

One process a core, one thread each, gradients averaged over processes:
  torchrun --nproc_per_node 2 examples/train_soc_plus_micro.py --output runs/micro --bf16
A killed run goes on where its last checkpoint was written: give the same command again. `--variant` and
`--shared-from` train other architectures from the weights that all of them have, to compare them.
"""

import argparse
import json
import math
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import ByteLevelBPETokenizer
from torch import nn
from torch.nn import functional
from transformers import RobertaTokenizer

from transformers_soc import SocConfig, SocModel, SocProcessor, SocVideoProcessor
from transformers_soc.configuration_soc import BACKBONE_STAGES, VARIANTS
from transformers_soc.data.moving_shapes import MovingShapesClip, render_clip
from transformers_soc.data.moving_shapes_language import MovingShapesExpression
from transformers_soc.data.moving_shapes_scene import COLOURS, MOTIONS, SHAPES, SIZES, TEXTURES
from transformers_soc.memory import keep_freed_memory
from transformers_soc.video_processing_soc import resized_size

SHORT_SIDE = 80  # of the model's input: 2 to 10 % of the side a frame are 0.4 to 2 cells of stride 4
LONG_SIDE = 160
NUM_HEAD_LEVELS = 4  # the stem and the maps of strides 4, 8 and 16 carry throw-away attribute heads
NUM_GROUNDING_LEVELS = 2  # fused levels of strides 8 and 16 carry throw-away grounding heads
STAGES = ("stem", "attributes", "grounding", "joint", "refusal", "scores", "doubts")
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
# What one step draws: frames of the clips, and height over width and short side of the frames that are rendered.
FRAME_COUNTS = (4, 4, 6, 6, 8, 8, 8, 12)
ASPECTS = (1.0, 1.0, 1.0, 0.75, 0.5625, 1.33)
NATIVE_SIDES = (64, 64, 96, 128, 128, 192)
# What is known of an object, and its words.
ATTRIBUTES = {"colour": COLOURS, "shape": SHAPES, "motion": MOTIONS, "size": SIZES, "texture": TEXTURES}
# Directions that a cell's object takes from one frame to the next: still, left, right, up, down.
NUM_HEADINGS = 5
IGNORED = -100


@dataclass(frozen=True)
class Stage:
    """Clips a step over all processes, sentences a clip, frames, learning rates, and gradient norm to clip at."""

    clips: int
    sentences: int
    frames: tuple[int, ...]
    rate: float
    backbone_rate: float
    clip_norm: float
    constant: float  # share of the steps before the rate falls
    no_target: float = 0.2  # share of the sentences that have no target, as far as the clips go
    class_weight: float = 2.0  # of the class loss, beside the other losses
    drawn: int = 12  # sentences a clip, from which those of a step are chosen
    hard: bool = False  # choose sentences without a target by `HARD_FAMILIES`


RECIPE = {
    "stem": Stage(40, 0, (4,), 3e-3, 3e-3, 1.0, 0.5),
    "attributes": Stage(24, 0, (4, 4, 6, 8), 1.5e-3, 1.5e-3, 1.0, 0.4),
    "grounding": Stage(8, 12, FRAME_COUNTS, 1e-3, 5e-4, 1.0, 0.5),
    "joint": Stage(8, 6, FRAME_COUNTS, 1e-3, 3e-4, 0.1, 0.6),
    "refusal": Stage(8, 6, FRAME_COUNTS, 1e-3, 3e-4, 0.1, 0.5, no_target=0.25),
    "scores": Stage(8, 6, FRAME_COUNTS, 1e-3, 3e-4, 0.1, 0.4, no_target=0.3, class_weight=8.0),
    "doubts": Stage(8, 6, FRAME_COUNTS, 1e-3, 3e-4, 0.1, 0.4, no_target=0.4, class_weight=8.0, drawn=40, hard=True),
}
# Families of sentences without a target of which the stage "scores" left a third or more unrefused; others weigh 1.
HARD_FAMILIES = {"absent_colour": 2.0, "absent_motion": 2.0, "absent_relation": 2.0, "absent_texture": 2.0}


# What `--variant` changes, to see what the parts of SOC++ are worth.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "soc++": VARIANTS["soc++"] | {"official_match_order": False},
    "soc": VARIANTS["soc"],
    "no-cluster": VARIANTS["soc++"]
    | {"official_match_order": False, "video_cluster": False, "frame_weighting": False, "query_fusion": "none"},
}


def micro_config(vocab_size: int, variant: str = "soc++") -> SocConfig:
    """Sizes of soc-plus-micro: 4.4 million parameters."""
    backbone = {
        "model_type": "soc_video_swin",
        "embed_dim": 48,
        "depths": (2, 2, 2, 1),
        "num_heads": (2, 2, 4, 8),
        "window_size": (8, 4, 4),
        "drop_path_rate": 0.0,
        "stem": "conv3d",
        "stem_depths": (1, 3),
        "out_features": BACKBONE_STAGES,
    }
    text = {
        "model_type": "roberta",
        "vocab_size": vocab_size,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "max_position_embeddings": 66,
        "type_vocab_size": 1,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    parts = ("fusion", "encoder", "decoder", "cluster", "query_fusion")
    fields = ARCHITECTURES[variant] | {
        "d_model": 64,
        "mask_decoder_round_widths": True,
        "num_queries": 4,
        "num_proxies": 8,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "encoder_ffn_dim": 128,
        "decoder_ffn_dim": 128,
        "encoder_n_points": 1,
        "decoder_n_points": 1,
        "cluster_encoder_layers": 2,
        "cluster_decoder_layers": 2,
        "cluster_ffn_dim": 128,
        "frame_scorer_ffn_dim": 0,
        "dropout": 0.0,
        "cluster_dropout": 0.0,
        "text_projection_dropout": 0.0,
        **{f"{part}_attention_heads": 4 for part in parts},
    }
    return SocConfig(backbone_config=backbone, text_config=text, **fields)


def build_tokenizer(num_clips: int = 3000, vocab_size: int = 640) -> RobertaTokenizer:
    """A byte-level tokenizer trained on the sentences of the grammar; unknown words fall apart into bytes."""
    clips = (draw_clip(index, seed=1, frames=8) for index in range(num_clips))
    texts = [expression.text for clip in clips for expression in clip.expressions]
    learned = ByteLevelBPETokenizer(lowercase=True)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    learned.train_from_iterator(texts, vocab_size=vocab_size, min_frequency=2, special_tokens=special)
    model = json.loads(learned.to_str())["model"]
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in model["merges"]]
    return RobertaTokenizer(vocab=model["vocab"], merges=merges, model_max_length=64)


def build_processor(tokenizer: RobertaTokenizer) -> SocProcessor:
    return SocProcessor(SocVideoProcessor(size={"shortest_edge": SHORT_SIDE, "longest_edge": LONG_SIDE}), tokenizer)


def draw_clip(
    index: int, seed: int, frames: int, height: int = 64, width: int = 64, sentences: int = 12
) -> MovingShapesClip:
    return render_clip("train", index, seed, num_frames=frames, height=height, width=width, num_expressions=sentences)


@dataclass
class Batch:
    """Clips of one size with their sentences; labels as `SocModel` takes them, and labels of cells for the heads."""

    videos: torch.Tensor  # (videos, frames, 3, H, W) normalised
    texts: list[str]
    video_indices: torch.Tensor  # (expressions,)
    labels: list[dict[str, torch.Tensor]]
    owners: torch.Tensor  # (videos, frames, H, W) object that is seen, -1 = ground
    attributes: torch.Tensor  # (videos, objects, 5) classes of `ATTRIBUTES`
    headings: torch.Tensor  # (videos, objects, frames) way from the frame before


def shrink(clip: MovingShapesClip) -> tuple[torch.Tensor, np.ndarray]:
    """Frames (frames, 3, H, W) normalised and masks (objects, frames, H, W) bool at the model's input size."""
    height, width = resized_size(*clip.frames.shape[1:3], SHORT_SIDE, LONG_SIDE)
    frames = [np.asarray(Image.fromarray(frame).resize((width, height), Image.BILINEAR)) for frame in clip.frames]
    pixels = (torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255 - MEAN) / STD
    rows = (np.arange(height) + 0.5) * clip.frames.shape[1] / height
    columns = (np.arange(width) + 0.5) * clip.frames.shape[2] / width
    masks = clip.masks[:, :, rows.astype(int)][..., columns.astype(int)]
    return pixels, masks


def object_headings(centre: np.ndarray, side: float) -> np.ndarray:
    """Direction class (frames,) of an object by its step from the frame before; slow or diagonal steps are ignored."""
    step = np.diff(centre, axis=0, prepend=centre[:1] - (centre[1:2] - centre[:1])) / side
    size = np.abs(step)
    heading = np.where(size[:, 0] > size[:, 1], np.where(step[:, 0] < 0, 1, 2), np.where(step[:, 1] < 0, 3, 4))
    longest, shortest = size.max(1), size.min(1)
    heading = np.where(longest < 0.004, 0, heading)
    unclear = ((longest >= 0.004) & (longest < 0.012)) | ((longest >= 0.012) & (shortest > 0.6 * longest))
    return np.where(unclear, IGNORED, heading)


def choose_expressions(clip: MovingShapesClip, stage: Stage, rng: np.random.Generator) -> list[MovingShapesExpression]:
    """A step's sentences of a clip: 45 % over time, a share without a target, the rest static, as far as they go."""
    groups: dict[str, list[MovingShapesExpression]] = {"motion": [], "none": [], "static": []}
    for expression in clip.expressions:
        timed = expression.kind in ("motion", "order")
        group = "none" if not expression.targets else "motion" if timed else "static"
        groups[group].append(expression)
    for group in groups.values():
        rng.shuffle(group)
    if stage.hard and groups["none"]:
        groups["none"] = hardest_last(groups["none"], rng)
    shares = [0.45, stage.no_target, 0.55 - stage.no_target]
    wishes = rng.choice(["motion", "none", "static"], size=stage.sentences, p=shares)
    chosen = []
    for wish in wishes:
        available = groups[wish] or groups["motion"] or groups["static"] or groups["none"]
        if available:
            chosen.append(available.pop())
    return chosen


def hardest_last(expressions: list[MovingShapesExpression], rng: np.random.Generator) -> list[MovingShapesExpression]:
    """In an order by chance, in which a hard family is twice as likely to be last, however many there are of it."""
    sizes = Counter(expression.family for expression in expressions)
    weights = np.array([HARD_FAMILIES.get(e.family, 1.0) / sizes[e.family] for e in expressions])
    order = rng.choice(len(expressions), len(expressions), replace=False, p=weights / weights.sum())
    return [expressions[index] for index in order[::-1]]


def draw_batch(step: int, stage: Stage, seed: int, rank: int, world: int) -> Batch:
    """The clips of one process in one step; all processes draw the same size and number of frames."""
    shared = np.random.default_rng([seed, step])
    frames, aspect = int(shared.choice(stage.frames)), float(shared.choice(ASPECTS))
    side = int(shared.choice(NATIVE_SIDES))
    height, width = (side, round(side / aspect)) if aspect <= 1 else (round(side * aspect), side)
    own = stage.clips // world
    first = (step * world + rank) * own
    rng = np.random.default_rng([seed, step, rank])
    videos, owners, attributes, headings = [], [], [], []
    texts, indices, labels = [], [], []
    for index in range(own):
        clip = draw_clip(first + index, seed + 100, frames, height, width, stage.drawn if stage.sentences else 1)
        pixels, masks = shrink(clip)
        videos.append(pixels)
        owners.append(torch.from_numpy(np.where(masks.any(0), masks.argmax(0), -1)))
        attributes.append([[words.index(getattr(o, n)) for n, words in ATTRIBUTES.items()] for o in clip.objects])
        headings.append([object_headings(o.centre, min(height, width)) for o in clip.objects])
        for expression in choose_expressions(clip, stage, rng) if stage.sentences else []:
            union = masks[list(expression.targets)].any(0)
            texts.append(expression.text)
            indices.append(index)
            labels.append({"masks": torch.from_numpy(union), "visible": torch.from_numpy(union.any((1, 2)))})
    objects = max(len(entry) for entry in attributes)
    padded = np.full((own, objects, len(ATTRIBUTES)), IGNORED)
    padded_headings = np.full((own, objects, frames), IGNORED)
    for index, (entry, ways) in enumerate(zip(attributes, headings, strict=True)):
        padded[index, : len(entry)], padded_headings[index, : len(ways)] = entry, ways
    return Batch(
        torch.stack(videos),
        texts,
        torch.tensor(indices, dtype=torch.long),
        labels,
        torch.stack(owners),
        torch.from_numpy(padded),
        torch.from_numpy(padded_headings),
    )


class AttributeHeads(nn.Module):
    """What each cell of four backbone maps shows where an object is, and its heading; thrown away after training."""

    def __init__(self, channels: list[int]):
        super().__init__()
        classes = {name: len(words) for name, words in ATTRIBUTES.items()} | {"heading": NUM_HEADINGS}
        self.heads = nn.ModuleList(
            nn.ModuleDict({name: nn.Linear(width, number) for name, number in classes.items()}) for width in channels
        )

    def forward(self, maps: Sequence[torch.Tensor], batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """maps: (videos, frames, channels, h, w), finest first. Returns the loss and the accuracies by attribute."""
        total = maps[0].new_zeros(())
        right: dict[str, float] = {}
        for level, (heads, feature_map) in enumerate(zip(self.heads, maps, strict=False)):
            owners = cell_owners(batch.owners, feature_map.shape[-2:])
            seen = owners >= 0
            cells = feature_map.permute(0, 1, 3, 4, 2)[seen]  # (cells of objects, channels)
            video, frame = seen.nonzero()[:, :2].unbind(1)
            for name, head in heads.items():
                if name == "heading":
                    known = batch.headings[video, owners[seen], frame]
                else:
                    known = batch.attributes[video, owners[seen], list(ATTRIBUTES).index(name)]
                logits = head(cells)
                weight = 3.0 if name == "shape" else 1.0  # shapes are learned last
                total = total + weight * functional.cross_entropy(logits, known, ignore_index=IGNORED)
                accuracy = float((logits.argmax(-1) == known)[known != IGNORED].float().mean())
                right[name if level else f"{name} (stem)"] = accuracy  # of the last map, and of the stem
        return total / len(maps), right


def cell_owners(owners: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Object at the centre pixel of each cell: (videos, frames, h, w)."""
    height, width = owners.shape[-2:]
    rows = ((torch.arange(size[0]) + 0.5) * height / size[0]).long()
    columns = ((torch.arange(size[1]) + 0.5) * width / size[1]).long()
    return owners[:, :, rows][..., columns]


def grounding_loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """logits: (expressions, frames, h, w) of one level; targets are the masks averaged to its cells."""
    targets = torch.stack(
        [functional.adaptive_avg_pool2d(label["masks"].float(), logits.shape[-2:]) for label in batch.labels]
    )
    exists = torch.stack([label["visible"].any() for label in batch.labels]).float()
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=logits.new_tensor(5.0))
    chosen = logits.sigmoid()
    shared = (chosen * targets).sum((1, 2, 3))
    dice = 1 - (2 * shared + 1) / (chosen.sum((1, 2, 3)) + targets.sum((1, 2, 3)) + 1)
    return 4 * entropy + 2 * (dice * exists).mean()


def in_bfloat16(forward: Callable[..., Any]) -> Callable[..., Any]:
    """The backbone under autocast, which processors with bfloat16 products train faster; its maps stay float32."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = forward(*args, **kwargs)
        outputs.feature_maps = tuple(feature_map.float() for feature_map in outputs.feature_maps)
        if outputs.hidden_states is not None:
            outputs.hidden_states = tuple(hidden.float() for hidden in outputs.hidden_states)
        return outputs

    return wrapped


class Trainer:
    """State of a run: model, throw-away heads, optimizer, step, and an average of the weights."""

    def __init__(self, options: argparse.Namespace, rank: int, world: int):
        self.options, self.rank, self.world = options, rank, world
        self.folder = Path(options.output)
        torch.manual_seed(options.seed)
        tokenizer_folder = self.folder / "tokenizer"
        if rank == 0 and not tokenizer_folder.exists():
            build_tokenizer().save_pretrained(tokenizer_folder)
        self.barrier()
        self.tokenizer = RobertaTokenizer.from_pretrained(tokenizer_folder)
        self.model = SocModel(micro_config(len(self.tokenizer), options.variant)).train()
        self.attribute_heads = AttributeHeads(self.model.backbone.num_features[:NUM_HEAD_LEVELS])
        self.grounding_heads = nn.ModuleList(
            nn.Linear(self.model.config.d_model, 1) for _ in range(NUM_GROUNDING_LEVELS)
        )
        if options.bf16:
            self.model.backbone.forward = in_bfloat16(self.model.backbone.forward)
        self.average = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.stage, self.step = STAGES[0], 0
        self.optimizer = self.new_optimizer()

    def barrier(self) -> None:
        if self.world > 1:
            torch.distributed.barrier()

    def modules(self) -> nn.ModuleDict:
        return nn.ModuleDict(
            {"model": self.model, "attributes": self.attribute_heads, "grounding": self.grounding_heads}
        )

    def new_optimizer(self) -> torch.optim.Optimizer:
        recipe = RECIPE[self.stage]
        parameters = dict(self.modules().named_parameters())
        backbone = [value for name, value in parameters.items() if name.startswith("model.backbone.")]
        rest = [value for name, value in parameters.items() if not name.startswith("model.backbone.")]
        groups = [{"params": rest, "peak": recipe.rate}, {"params": backbone, "peak": recipe.backbone_rate}]
        return torch.optim.AdamW(groups, lr=recipe.rate, weight_decay=1e-4)

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        if self.stage == "stem":
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.options.bf16):
                stem = self.model.backbone.stem(batch.videos)
            return self.attribute_heads([stem.float().permute(0, 1, 4, 2, 3)], batch)
        if self.stage == "attributes":
            maps = self.model.backbone(batch.videos, output_hidden_states=True).hidden_states
            return self.attribute_heads(maps[:NUM_HEAD_LEVELS], batch)
        # Few lengths: the library behind the products prepares itself anew for every shape.
        words = self.tokenizer(batch.texts, padding=True, pad_to_multiple_of=8, return_tensors="pt")
        if self.stage == "grounding":
            return self.grounding(batch, words)
        self.model.config.class_loss_coefficient = RECIPE[self.stage].class_weight
        outputs = self.model(
            pixel_values_videos=batch.videos, video_indices=batch.video_indices, labels=batch.labels, **words
        )
        return outputs.loss, {name: float(value) for name, value in outputs.loss_dict.items() if name[-2] != "_"}

    def grounding(self, batch: Batch, words: Any) -> tuple[torch.Tensor, dict[str, float]]:
        """Where the fused levels see what the sentence means; only the parts before the transformer are trained."""
        model = self.model
        maps = list(model.backbone(batch.videos, output_hidden_states=True).hidden_states)
        attributes, right = self.attribute_heads(maps[:NUM_HEAD_LEVELS], batch)
        encoded, _ = model._encode_words(words["input_ids"], words["attention_mask"])
        total = 0.3 * attributes
        for level, head in zip(model.level_projections(maps[:1:-1]), self.grounding_heads, strict=False):
            tokens = level[batch.video_indices].flatten(3).transpose(2, 3)
            fused = model.early_fusion.fuse_level(tokens, encoded)
            total = total + grounding_loss(head(fused).squeeze(-1).unflatten(2, level.shape[-2:]), batch)
        return total, right

    def train_step(self, steps: int) -> dict[str, float]:
        """One step of the stage; gradients are averaged over the processes."""
        recipe = RECIPE[self.stage]
        batch = draw_batch(
            self.step, recipe, self.options.seed + 1000 * STAGES.index(self.stage), self.rank, self.world
        )
        loss, report = self.loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        parameters = list(self.modules().parameters())
        if self.world > 1:
            flat = torch.cat([(torch.zeros_like(v) if v.grad is None else v.grad).flatten() for v in parameters])
            torch.distributed.all_reduce(flat)
            flat /= self.world
            for value, gradient in zip(parameters, flat.split([value.numel() for value in parameters]), strict=True):
                value.grad = gradient.view(value.shape)
        nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * schedule(self.step, steps, recipe.constant)
        self.optimizer.step()
        with torch.no_grad():
            decay = min(0.998, (self.step + 1) / (self.step + 20))
            for name, value in self.model.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - decay)
        self.step += 1
        return {"loss": float(loss.detach())} | report

    def save(self) -> None:
        """Writes the state to a temporary file and renames it, so that a killed run finds a whole one."""
        if self.rank == 0:
            state = {
                "stage": self.stage,
                "step": self.step,
                "modules": self.modules().state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "average": self.average,
            }
            torch.save(state, self.folder / "state.part")
            os.replace(self.folder / "state.part", self.folder / "state.pt")
        self.barrier()

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.stage, self.step, self.average = state["stage"], state["step"], state["average"]
        self.modules().load_state_dict(state["modules"])
        self.optimizer = self.new_optimizer()
        self.optimizer.load_state_dict(state["optimizer"])

    def start_from(self, path: Path) -> None:
        """Takes the averaged weights of another run that every architecture has, and begins with the joint losses."""
        known = torch.load(path, weights_only=True)["average"]
        with torch.device("meta"):
            shapes = [
                {name: value.shape for name, value in SocModel(config).state_dict().items()}
                for config in (micro_config(len(self.tokenizer), variant) for variant in ARCHITECTURES)
            ]
        shared = set.intersection(*(set(own.items()) for own in shapes))
        self.model.load_state_dict(self.model.state_dict() | {name: known[name] for name, _ in shared})
        self.average = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.stage = "joint"
        self.optimizer = self.new_optimizer()

    def next_stage(self) -> bool:
        """Starts the stage after this one, with a fresh optimizer; False where there is none."""
        position = STAGES.index(self.stage) + 1
        if position == len(STAGES):
            return False
        self.stage, self.step = STAGES[position], 0
        self.optimizer = self.new_optimizer()
        return True

    def export(self) -> None:
        """Saves the averaged weights as a folder for `from_pretrained`, in float16 as the bundled model is."""
        if self.rank == 0:
            temporary, final = self.folder / "model.part", self.folder / "model"
            model = SocModel(micro_config(len(self.tokenizer), self.options.variant))
            model.load_state_dict(self.average)
            model.half().save_pretrained(temporary)
            build_processor(self.tokenizer).save_pretrained(temporary)
            config = json.loads((temporary / "config.json").read_text())
            (temporary / "config.json").write_text(json.dumps(config | {"dtype": "float32"}, indent=2) + "\n")
            shutil.rmtree(final, ignore_errors=True)
            os.replace(temporary, final)
        self.barrier()


def schedule(step: int, steps: int, constant: float) -> float:
    """Share of the peak rate: 50 steps of warm-up, constant, then a cosine down to 2 %."""
    done = (step - constant * steps) / max(1.0, (1 - constant) * steps)
    falling = 1.0 if done < 0 else 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return min(1.0, (step + 1) / 50) * falling


def logged(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means of what the last steps reported; a figure that a step has not is left out."""
    names = {name for row in rows for name in row}
    return {name: round(float(np.nanmean([row.get(name, np.nan) for row in rows])), 4) for name in sorted(names)}


def draw_curves(log: Path, picture: Path) -> None:
    """Draws the figures of each stage against its steps; needs matplotlib (the extra `train`)."""
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    figure = Figure(figsize=(16, 3.5), layout="constrained")
    for axes, stage in zip(figure.subplots(1, len(STAGES)), STAGES, strict=True):
        own = {row["step"]: row for row in rows if row["stage"] == stage}  # a step that was done again counts once
        for name in sorted({name for row in own.values() for name in row} - {"stage", "step", "seconds"}):
            steps = [step for step in sorted(own) if name in own[step]]
            axes.plot(steps, [own[step][name] for step in steps], label=name, linewidth=1)
        axes.set(title=stage, xlabel="step", yscale="linear" if stage in STAGES[:3] else "log")
        axes.legend(fontsize=7)
    figure.savefig(picture, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, help="folder of the run")
    parser.add_argument("--seed", type=int, default=0)
    steps = (1000, 350, 900, 2200, 2600, 2200, 2200)
    parser.add_argument("--steps", type=int, nargs=len(STAGES), default=steps, help="per stage")
    parser.add_argument("--bf16", action="store_true", help="run the backbone under bfloat16 autocast")
    parser.add_argument("--variant", choices=ARCHITECTURES, default="soc++")
    parser.add_argument(
        "--shared-from", type=Path, metavar="STATE", help="state of a run whose weights are taken where they fit"
    )
    parser.add_argument("--save-every", type=int, default=100)
    parser.add_argument("--log-every", type=int, default=25)
    parser.add_argument("--curves", type=Path, metavar="PNG", help="draw the log of the run, and train nothing")
    options = parser.parse_args()
    if options.curves is not None:
        draw_curves(Path(options.output) / "log.jsonl", options.curves)
        return
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    torch.set_num_threads(1)
    keep_freed_memory()
    if world > 1:
        torch.distributed.init_process_group("gloo")
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(options, rank, world)
    if (folder / "state.pt").exists():
        trainer.load(folder / "state.pt")
    elif options.shared_from is not None:
        trainer.start_from(options.shared_from)
    started, reports = time.time(), []
    more = True
    while more:
        steps = options.steps[STAGES.index(trainer.stage)]
        while trainer.step < steps:
            reports.append(trainer.train_step(steps))
            if trainer.step % options.log_every == 0 and rank == 0:
                line = {"stage": trainer.stage, "step": trainer.step, "seconds": round(time.time() - started, 1)}
                line |= logged(reports)
                print(json.dumps(line), flush=True)
                with open(folder / "log.jsonl", "a", encoding="utf-8") as log:
                    log.write(json.dumps(line) + "\n")
                reports = []
            if trainer.step % options.save_every == 0 or trainer.step == steps:
                trainer.save()
        if rank == 0:
            shutil.copyfile(folder / "state.pt", folder / f"state-{trainer.stage}.pt")
        trainer.export()
        more = trainer.next_stage()


if __name__ == "__main__":
    main()
