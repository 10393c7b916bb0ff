# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What all cards share: the template, front matter, and results as the Hub reads them."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData, eval_result_entries_to_yaml

from transformers_soc import TASK
from transformers_soc.data.official import OFFICIAL

FOLDER = Path(__file__).parent
# The Hub has no tag for referring video segmentation: this is the nearest one.
PIPELINE_TAG = "mask-generation"
TAGS = [
    TASK,
    "video-segmentation",
    "video-object-segmentation",
    "referring-expression-segmentation",
    "soc",
]
# Metrics of `results.json`: as the Hub would call them, and as tables print them.
METRICS = {
    "J&F": ("j_and_f", "J&F"),
    "overall_iou": ("overall_iou", "Overall IoU"),
    "mean_iou": ("mean_iou", "Mean IoU"),
    "mAP 0.5:0.95": ("mean_average_precision", "mAP 0.5:0.95"),
    **{f"P@{bound}": (f"precision_at_{bound}", f"P@{bound}") for bound in (0.5, 0.6, 0.7, 0.8, 0.9)},
}
TITLES = {name: entry.title for name, entry in OFFICIAL.items()} | {"moving_shapes": "MovingShapes"}

Record = Mapping[str, Any]


def paragraph(*sentences: str) -> str:
    """Sentences as one paragraph of lines that fit on a screen."""
    return textwrap.fill(" ".join(filter(None, sentences)), 120, break_long_words=False, break_on_hyphens=False)


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("|" + "".join(f" {cell} |" if cell != "" else " |" for cell in line) for line in lines)


def usage(sentences: str, model: str | None = None) -> str:
    """The snippet of a card; without a model that of the package's default."""
    place = "" if model is None else f', model="{model}"'
    lines = [
        "```python",
        "import transformers_soc",
        "from transformers import pipeline",
        "",
        f'segment = pipeline("{TASK}"{place})',
        f'results = segment("clip.mp4", {sentences})',
        'results[0]["masks"]  # bool (frames, height, width), at the size of the video',
        'results[0]["score"]  # how well the best query matches the sentence',
        "```",
    ]
    return "\n".join(lines)


def evaluation_results(records: Sequence[Record]) -> list[EvalResult]:
    """The records of a model as the entries of its `model-index`."""
    return [
        EvalResult(
            task_type=PIPELINE_TAG,
            task_name="Referring video object segmentation",
            dataset_type=record["dataset"],
            dataset_name=TITLES[record["dataset"]],
            dataset_split=record["split"],
            dataset_config=None if record["group"] == "all" else record["group"],
            metric_type=METRICS[record["metric"]][0],
            metric_name=METRICS[record["metric"]][1],
            metric_value=record["value"],
            source_name=record["source"],
            source_url=record["source_url"],
        )
        for record in records
    ]


def hub_results(records: Sequence[Record], benchmarks: Mapping[str, Mapping[str, str]]) -> dict[str, list[Any]]:
    """
    The content of `.eval_results`, which the Hub takes only for data sets that it lists as benchmarks.

    Args:
        records: of one model.
        benchmarks: by the name of a data set: `id` on the Hub, `task_id`, and the `metric` that its leaderboard shows.

    Returns:
        by file name, the entries of the file.
    """
    files = {}
    for record in records:
        known = benchmarks.get(record["dataset"])
        if known is not None and record["metric"] == known["metric"]:
            entry = EvalResultEntry(
                dataset_id=known["id"],
                task_id=known["task_id"],
                value=record["value"],
                source_name=record["source"] if record["source_url"] else None,
                source_url=record["source_url"],
                notes=record.get("note"),
            )
            files[f"{record['dataset']}.yaml"] = eval_result_entries_to_yaml([entry])
    return files


def front_matter(
    name: str, metrics: Sequence[str], records: Sequence[Record], tags: Sequence[str], **fields: Any
) -> str:
    """The YAML block of a card, without its fences; `fields` as of `ModelCardData`."""
    results = evaluation_results(records)
    data = ModelCardData(
        language="en",
        library_name="transformers",
        pipeline_tag=PIPELINE_TAG,
        tags=[*TAGS, *tags],
        metrics=sorted({METRICS[metric][0] for metric in metrics}),
        model_name=name if results else None,
        eval_results=results or None,
        **fields,
    )
    return data.to_yaml().strip()


def speed_section(measured: Sequence[Mapping[str, Any]], size: str) -> str:
    """
    What was measured of a size, and on which machine.

    Args:
        measured: files of `benchmarks/speed.py --json`.
        size: the preset, or the name of the bundled checkpoint.
    """
    rows = []
    for entry in measured:
        settings, machine = entry["settings"], entry["machine"]
        if settings["size"] == size:
            height, width = settings["frame_size"]
            frames = f"{settings['frames']} of {width}x{height}"
            threads = f", {settings['threads']} threads" if settings["device"] == "cpu" else ""
            place = f"{machine['name']}{threads}, torch {machine['torch'].partition('+')[0]}"
            rows.append((frames, settings["expressions"], settings["dtype"], f"{entry['seconds']:.2f}", place))
    if not rows:
        return "Not measured."
    heads = ("frames", "sentences", "format", "seconds", "machine")
    return f"Seconds for one call of the model, measured with `benchmarks/speed.py`:\n\n{table(heads, sorted(rows))}"


def fill_template(**sections: str) -> str:
    """The text of a card."""
    text = Template((FOLDER / "card_template.md").read_text(encoding="utf-8")).substitute(sections)
    return text.rstrip() + "\n"
