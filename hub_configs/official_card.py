# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The card, configuration and processor of a checkpoint that the authors released, before anyone has converted it."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from card_text import (
    FOLDER,
    METRICS,
    TITLES,
    Record,
    fill_template,
    front_matter,
    paragraph,
    speed_section,
    table,
    usage,
)
from transformers import RobertaTokenizer

from transformers_soc import SocConfig, SocModel, SocProcessor, SocVideoProcessor
from transformers_soc.configuration_soc import PRESETS, ROBERTA_BASE
from transformers_soc.conversion import config_from_original
from transformers_soc.metrics.protocols import PROTOCOLS

RECIPES = FOLDER.parent / "examples" / "recipes"
TOKENIZER = "FacebookAI/roberta-base"
VARIANTS = {"soc": "SOC", "soc++": "SOC++"}
BACKBONES = {"video-swin-t": "Video-Swin-T", "video-swin-b": "Video-Swin-B"}
CITATIONS = {"soc": 1, "soc++": 2}  # of the entries of citations.bib
ARXIV = "arxiv:2305.17011"


class Checkpoint:
    """
    An entry of `checkpoints.json` with what follows from it.

    Args:
        entry: the entry.
        shared: the whole file.
    """

    def __init__(self, entry: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
        self.name: str = entry["name"]
        self.recipe_name: str = entry["recipe"]
        self.recipe: dict[str, Any] = yaml.safe_load((RECIPES / self.recipe_name).read_text(encoding="utf-8"))
        self.preset: str = entry["preset"]
        self.variant, self.backbone = PRESETS[self.preset]
        self.gpus: int = entry["gpus"]
        self.note: str = entry.get("note", "")
        self.data_licence: str = entry.get("data_licence", "")
        self.released: bool = entry.get("released", True)
        plus = self.variant == "soc++"
        setting = self.name.removeprefix("soc-plus-") if plus else self.name.removeprefix("soc-")[: -len("-t")]
        benchmark = setting.partition("_")[0]
        self.training: str = shared["training"][setting]
        self.evaluation: list[list[str]] = shared["evaluation"][benchmark]
        self.repository: str = shared["repositories"][self.variant]
        self.official_config: str = shared["official_configs"].get(setting) or shared["official_configs"][benchmark]

    def config(self) -> SocConfig:
        """The configuration that a conversion writes."""
        config = config_from_original({}, variant=self.variant, backbone=self.backbone, text_config=ROBERTA_BASE)
        config.architectures = [SocModel.__name__]
        config.dtype = torch.float32
        return config

    def processor(self) -> SocProcessor:
        """The processor that a conversion writes, with a tokenizer that stands in for roberta-base's."""
        size = {"shortest_edge": self.recipe["short_side"], "longest_edge": self.recipe["long_side"]}
        pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        tokenizer = RobertaTokenizer(vocab={piece: index for index, piece in enumerate(pieces)}, merges=[])
        return SocProcessor(SocVideoProcessor(size=size), tokenizer, do_lower_case=False)

    def parameters(self) -> int:
        """How many numbers the model learns."""
        with torch.device("meta"):
            return SocModel(self.config()).num_parameters()

    def files(self) -> dict[str, str]:
        """`config.json` and `processor_config.json`."""
        with tempfile.TemporaryDirectory() as folder:
            self.config().save_pretrained(folder)
            self.processor().save_pretrained(folder)
            names = ("config.json", "processor_config.json")
            contents = {name: json.loads(Path(folder, name).read_text(encoding="utf-8")) for name in names}
        contents["config.json"].pop("transformers_version")  # of whoever converts
        return {name: json.dumps(content, indent=2, sort_keys=True) + "\n" for name, content in contents.items()}


def official_card(checkpoint: Checkpoint, records: Sequence[Record], speed: Sequence[Mapping[str, Any]]) -> str:
    """
    The card of a released checkpoint.

    Args:
        checkpoint: which one.
        records: its reported results.
        speed: what was measured of any size, see `speed_section`.
    """
    names = [record["metric"] for record in records] or _default_metrics(checkpoint)
    bib = (FOLDER / "data" / "citations.bib").read_text(encoding="utf-8").strip().split("\n\n")
    weights: dict[str, Any] = {"license": "apache-2.0"}
    if checkpoint.released:
        link = checkpoint.repository
        weights = {"license": "other", "license_name": "none-stated-by-the-authors", "license_link": link}
    return fill_template(
        front_matter=front_matter(checkpoint.name, names, records, [ARXIV], base_model=TOKENIZER, **weights),
        name=checkpoint.name,
        summary=_summary(checkpoint),
        use=_use(checkpoint),
        limits=_limits(checkpoint),
        training=_training(checkpoint),
        evaluation=_evaluation(checkpoint, records),
        speed=speed_section(speed, checkpoint.preset),
        conversion=_conversion(checkpoint),
        citation="\n\n".join(bib[: CITATIONS[checkpoint.variant]]),
        licence=_licence(checkpoint),
    )


def _use(checkpoint: Checkpoint) -> str:
    origin = (
        "the conversion below writes" if checkpoint.released else "the training below writes, its `best` or `last`"
    )
    snippet = usage('["the dog on the left", "the red ball"]', f"path/to/{checkpoint.name}")
    return f"{snippet}\n\nThe model is the folder that {origin}."


def _default_metrics(checkpoint: Checkpoint) -> list[str]:
    families = {PROTOCOLS[name].metrics for name, _ in checkpoint.evaluation}
    return ["overall_iou", "mean_iou", "mAP 0.5:0.95"] if families == {"instances"} else ["J&F"]


def _summary(checkpoint: Checkpoint) -> str:
    what = f"{VARIANTS[checkpoint.variant]} with {BACKBONES[checkpoint.backbone]} and a RoBERTa text encoder"
    held = paragraph(
        f"{what}, {checkpoint.parameters():,} parameters: it finds what English sentences describe in a video, and",
        "gives a mask for each frame.",
        "Trained by its authors" if checkpoint.released else "To be trained",
        f"on {checkpoint.training}.",
    )
    folder = paragraph(
        "This folder holds the configuration and the processor for the package `transformers-soc`, and no weights.",
        f"The tokenizer is that of `{TOKENIZER}`.",
    )
    return "\n\n".join(filter(None, [held, folder, paragraph(checkpoint.note) if checkpoint.note else ""]))


def _limits(checkpoint: Checkpoint) -> str:
    intended = paragraph(
        "For research on video segmentation by language, and for labelling or editing videos with a person who looks",
        "at the result. Not for decisions about people: nobody has examined how the results differ between groups of",
        "people, and the training videos come from the web.",
    )
    limits = [
        "One query answers for the whole clip. A sentence about several objects gets the mask of one of them, or one "
        "mask over them, unless `union_threshold` joins queries.",
        "The model was not trained to say that nothing fits: without a `threshold` every sentence gets a mask.",
        "Results depend on which frames of the video are taken, and on their number: temporal windows and the video "
        "cluster see all frames of a clip at once, and memory grows with them.",
    ]
    if checkpoint.evaluation[0][0] == "a2d_sentences":
        limits.append(
            "In the training one frame of each clip of eight carries masks, and only its queries reach the video "
            "cluster: masks of whole videos are outside of what was trained."
        )
    return "\n".join([intended, "", *("- " + _indented(limit) for limit in limits)])


def _indented(text: str) -> str:
    return paragraph(text).replace("\n", "\n  ")


def _training(checkpoint: Checkpoint) -> str:
    recipe = checkpoint.recipe
    drops = ", ".join(map(str, recipe["lr_drop_epochs"])) or "never"
    text_rate = "frozen" if recipe["freeze_text_encoder"] else f"{recipe['text_learning_rate']:g}"
    rows = [
        ("data", checkpoint.training),
        ("epochs", f"{recipe['num_train_epochs']}, rate times {recipe['lr_gamma']:g} after {drops}"),
        ("learning rate", f"{recipe['learning_rate']:g}, backbone {recipe['backbone_learning_rate']:g}"),
        ("text encoder", text_rate),
        ("clips", f"{recipe['per_device_train_batch_size']} on each of {checkpoint.gpus} GPUs"),
        (
            "frames",
            f"{recipe['window_size']}, short side {recipe['short_side']}, at most {recipe['long_side']} pixels",
        ),
        ("optimizer", f"AdamW, weight decay {recipe['weight_decay']:g}, gradient norm {recipe['max_grad_norm']:g}"),
    ]
    whose = paragraph(
        "The settings of the authors' code, as far as it states them; where their README says otherwise, the recipe",
        f"`{checkpoint.recipe_name}` has both. This project has not repeated the training. The front matter names no",
        "`datasets`: no repository of the Hub is known to hold exactly the data that were used.",
    )
    return f"{table(('', ''), rows)}\n\n{whose}\n\n{_training_commands(checkpoint)}"


def _training_commands(checkpoint: Checkpoint) -> str:
    name = checkpoint.recipe_name.removesuffix(".yaml")
    datasets = checkpoint.recipe["dataset"]
    roots = ["COCO" if dataset.startswith("refcoco") else "DATA" for dataset in datasets]
    command = [f"transformers-soc train --recipe {name} --output out --data-root {' '.join(roots)}"]
    if "preset" not in checkpoint.recipe:  # goes on from the image pre-training
        size = checkpoint.backbone.removeprefix("video-").replace("-", "_")
        first = f"transformers-soc train --recipe soc_pretrain_{size} --output pretrained --data-root COCO"
        command = [first, command[0] + " \\", "    --model pretrained/best"]
    return "\n".join(["```bash", *command, "```"])


def _evaluation(checkpoint: Checkpoint, records: Sequence[Record]) -> str:
    parts = []
    if records:
        parts.append(
            paragraph(
                "Reported by the authors, in percent, as listings repeat it; not measured again with this package:",
            )
        )
        rows = [
            (
                TITLES[record["dataset"]],
                record["split"],
                METRICS[record["metric"]][1],
                record["value"],
                _source(record),
            )
            for record in records
        ]
        parts.append(table(("data", "split", "metric", "value", "source"), rows))
        parts.append(
            "\n".join(dict.fromkeys(f"- {_source(record)} {_indented(record['note'])}" for record in records))
        )
    else:
        parts.append(
            paragraph(
                "No result of this setting has a source that could be checked, so this card states none and has no",
                "`model-index`." if checkpoint.released else "`model-index`. There is no checkpoint to measure.",
            )
        )
    protocols = [
        f"- {TITLES[name]}, {split}: {_clips(name)}, from {PROTOCOLS[name].source}"
        for name, split in checkpoint.evaluation
    ]
    name, split = checkpoint.evaluation[0]
    parts.append("The official protocols, by which `transformers-soc` measures:\n\n" + "\n".join(protocols))
    command = [
        "```bash",
        f"transformers-soc evaluate --benchmark {name} --data-root DATA --split {split} \\",
        f"    --model path/to/{checkpoint.name} --output scores",
        "```",
    ]
    parts.append("\n".join(command))
    return "\n\n".join(parts)


def _clips(benchmark: str) -> str:
    name = PROTOCOLS[benchmark].name
    return "all frames at once" if name == "whole" else name


def _source(record: Record) -> str:
    return f"[{record['source'].partition(',')[0]}]({record['source_url']})"


def _conversion(checkpoint: Checkpoint) -> str:
    if not checkpoint.released:
        return ""
    name = checkpoint.repository.removeprefix("https://github.com/")
    text = paragraph(
        f"The authors link their checkpoints in [{name}]({checkpoint.repository}). They state no licence for them, so",
        "this project does not host the weights, in no form. With a checkpoint and a clone of their repository:",
    )
    command = (
        f"transformers-soc convert checkpoint.pth --config {name.partition('/')[2]}/{checkpoint.official_config} \\\n"
        f"    --tokenizer {TOKENIZER} --output {checkpoint.name}"
    )
    after = paragraph(
        "The sizes are read from the checkpoint's keys, and no pickled code is run. The folder holds weights,",
        "configuration, processor and tokenizer.",
    )
    return f"## Convert the official weights\n\n{text}\n\n```bash\n{command}\n```\n\n{after}\n\n"


def _licence(checkpoint: Checkpoint) -> str:
    own = "This folder is under the Apache License 2.0, as the package."
    weights = "The authors state no licence for their weights: ask them before you pass converted weights on."
    data = checkpoint.data_licence or "The data have licences of their own, which their pages state."
    return paragraph(own, weights if checkpoint.released else "", data)
