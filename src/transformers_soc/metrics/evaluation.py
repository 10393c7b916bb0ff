# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Answers to the expressions of a table in the common schema, by a model or from disk, and their scores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from typing import Protocol as Interface

import numpy as np
import torch

from ..data.clips import group_by_video
from ..data.pixels import read_frames, read_label_image, read_masks
from ..memory import available_memory, estimate_memory
from ..video_io import masks_to_rle, rle_to_masks
from .davis import DavisObjectScore, score_davis_sequence, summarize_davis
from .iou import ImageScore, score_image, summarize_images
from .predictions import compose_label_maps
from .protocols import PROTOCOLS, Protocol
from .revos import RevosScore, score_revos, summarize_revos
from .segmentation import ExpressionScore, score_expression, summarize

Row = Mapping[str, Any]
Code = dict[str, Any]  # of a mask, see `video_io.masks_to_rle`
Summary = dict[str, dict[str, float | int | None]]

# Of each family of metrics: the records that it averages, and how.
RECORDS = {
    "expressions": ExpressionScore,
    "davis": DavisObjectScore,
    "instances": ImageScore,
    "revos": RevosScore,
}
SUMMARIES: dict[str, Callable[[Any], Any]] = {
    "expressions": summarize,
    "davis": summarize_davis,
    "instances": lambda records: {"all": summarize_images(records)},
    "revos": summarize_revos,
}


class Answers(Interface):
    """Whoever answers the expressions about one video; masks as run-length codes, which are small."""

    def masks(self, rows: Sequence[Row]) -> Iterator[list[Code]]:
        """A code for each frame of the video, for one row after the other."""

    def label_maps(self, rows: Sequence[Row]) -> np.ndarray:
        """uint8 (frames, height, width): 0, or the place from 1 on of the row whose object it is."""

    def candidates(self, rows: Sequence[Row]) -> Iterator[tuple[list[Code], list[float]]]:
        """Masks of the annotated frame with their scores, for one row after the other."""


class ModelAnswers:
    """
    Answers of a model, under a protocol.

    Args:
        model: [`SocModel`] in eval mode.
        processor: [`SocProcessor`]; whether it cleans expressions is its own setting, not the protocol's.
        protocol: says which frames go together and how masks are resized.
        threshold: score below which the answer is "no target"; None: the one saved with the processor.
        expressions_per_pass: how many expressions go through the model at once.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        protocol: Protocol,
        threshold: float | None = None,
        expressions_per_pass: int = 16,
    ) -> None:
        self.model, self.processor, self.protocol = model, processor, protocol
        self.threshold = threshold
        self.expressions_per_pass = expressions_per_pass

    def masks(self, rows: Sequence[Row]) -> Iterator[list[Code]]:
        """As `Answers`; clips are answered one by one, each with its own choice of the query."""
        codes: list[list[Code]] = [[] for _ in rows]
        places: list[int] = []
        for indices in self._clips(rows[0]):
            places += indices
            for own, result in zip(codes, self._answers(rows, indices), strict=True):
                own += masks_to_rle(result["masks"].numpy())
        for own in codes:
            yield [own[position] for position in np.argsort(places)]

    def label_maps(self, rows: Sequence[Row]) -> np.ndarray:
        """As `Answers`, composed from probabilities, clip by clip."""
        first = rows[0]
        labels = np.zeros((first["num_frames"], first["height"], first["width"]), np.uint8)
        for indices in self._clips(first):
            results = self._answers(rows, indices, return_probabilities=True)
            labels[indices] = compose_label_maps(result["probabilities"].numpy() for result in results)
        return labels

    def candidates(self, rows: Sequence[Row]) -> Iterator[tuple[list[Code], list[float]]]:
        """As `Answers`: every query is a candidate."""
        (indices,) = self._clips(rows[0])
        pixels, features = self._encode(rows[0], indices, len(indices) // 2)
        size = (rows[0]["height"], rows[0]["width"])
        for part in self._passes(rows):
            outputs = self.model(video_features=features, **self._words(part))
            results = self.processor.post_process_candidates(
                outputs,
                [size],
                pixel_mask=pixels["pixel_mask"],
                video_indices=[0] * len(part),
                mode=self.protocol.mode,
            )
            for result in results:
                yield masks_to_rle(result["masks"][0].numpy()), result["scores"][0].tolist()

    def _clips(self, row: Row) -> list[list[int]]:
        return self.protocol.clip_indices(row["num_frames"], row["annotated_frame_indices"])

    def _passes(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        for start in range(0, len(rows), self.expressions_per_pass):
            yield rows[start : start + self.expressions_per_pass]

    def _words(self, rows: Sequence[Row]) -> Any:
        return self.processor(text=[row["expression"] for row in rows]).to(self.model.device)

    def _encode(self, row: Row, indices: list[int], annotated: int | None = None) -> tuple[Any, Any]:
        """Inputs and features of some frames of a video; all or one of them are answered for."""
        frames = read_frames(row, indices)
        pixels = self.processor(videos=[frames], do_sample_frames=False).to(self.model.device)
        count, height, width = pixels["pixel_mask"].shape[1:]
        needed = estimate_memory(count, height, width, self.model.num_parameters())
        free = available_memory(self.model.device)
        if free is not None and needed > free:
            raise MemoryError(
                f"{row['video_id']}: {len(indices)} frames in one pass need about {needed / 1e9:.1f} GB of memory, "
                f"but only {free / 1e9:.1f} GB are free; --clip_length makes passes shorter, and changes the results"
            )
        if annotated is not None:
            pixels["annotated_frame_indices"] = torch.tensor([annotated], device=self.model.device)
        features = self.model.get_video_features(**pixels)
        return pixels, features

    def _answers(self, rows: Sequence[Row], indices: list[int], **options: Any) -> Iterator[dict[str, Any]]:
        """The post-processed answer to each row, from one pass over the frames `indices`."""
        pixels, features = self._encode(rows[0], indices)
        for part in self._passes(rows):
            outputs = self.model(
                video_features=features,
                best_query_only=self.processor.union_threshold is None,
                **self._words(part),
            )
            yield from self.processor.post_process_referring_video_segmentation(
                outputs,
                target_sizes=[(rows[0]["height"], rows[0]["width"])],
                pixel_mask=pixels["pixel_mask"],
                video_indices=[0] * len(part),
                threshold=self.threshold,
                mode=self.protocol.mode,
                **options,
            )


class StoredAnswers:
    """
    Masks that any program made.

    Args:
        reader: `metrics.predictions.PredictionReader`.
    """

    def __init__(self, reader: Any) -> None:
        self.reader = reader

    def masks(self, rows: Sequence[Row]) -> Iterator[list[Code]]:
        for row in rows:
            yield masks_to_rle(self.reader.read(row))

    def label_maps(self, rows: Sequence[Row]) -> np.ndarray:
        return self.reader.read_labels(rows[0])

    def candidates(self, rows: Sequence[Row]) -> Iterator[tuple[list[Code], list[float]]]:
        """As `Answers`: the one mask, with the score 1."""
        for row in rows:
            masks = self.reader.read(row)
            yield masks_to_rle(masks if len(masks) == 1 else masks[row["annotated_frame_indices"]]), [1.0]


def score_rows(
    answers: Answers, rows: Sequence[Row], protocol: Protocol, foreground: Sequence[Code | None] | None = None
) -> tuple[list[Any], dict[str, list[Code]]]:
    """
    Answer and score the rows of one video; with masks, frames without annotation and hidden targets are only answered.

    Args:
        answers: `ModelAnswers` or `StoredAnswers`.
        rows: those of one group of `group_by_video`.
        protocol: of the benchmark.
        foreground: of ReVOS, a code for each frame, the union of all annotated objects of the video; None: empty.

    Returns:
        The records, and where the answers are masks, the codes of each sample id.

    Raises:
        ValueError, OSError: frames or masks that cannot be read.
        MemoryError: the clip does not fit into memory.
    """
    if protocol.answer == "candidates":
        return _score_candidates(answers, rows), {}
    if protocol.answer == "label_maps":
        return _score_label_maps(answers, rows), {}
    records: list[Any] = []
    codes: dict[str, list[Code]] = {}
    for row, own in zip(rows, answers.masks(rows), strict=True):
        codes[row["sample_id"]] = own
        annotated = row["annotated_frame_indices"]
        if annotated:
            size = (row["height"], row["width"])
            prediction = rle_to_masks([own[index] for index in annotated], size)
            target = read_masks(row, annotated)
            named = (row["sample_id"], row["expression_type"], prediction, target)
            if protocol.metrics == "revos":
                if foreground is None:
                    raise ValueError(f"{row['sample_id']}: the robustness of ReVOS needs the foreground of the video")
                records.append(score_revos(*named, rle_to_masks([foreground[index] for index in annotated], size)))
            else:
                records.append(score_expression(*named))
    return records, codes


def _score_candidates(answers: Answers, rows: Sequence[Row]) -> list[ImageScore]:
    records = []
    for row, (codes, scores) in zip(rows, answers.candidates(rows), strict=True):
        (target,) = masks_to_rle(read_masks(row, row["annotated_frame_indices"]))
        records.append(score_image(row["sample_id"], codes, scores, target))
    return records


def _score_label_maps(answers: Answers, rows: Sequence[Row]) -> list[DavisObjectScore]:
    """Each annotator's expressions, one for each object, make one map."""
    records = []
    target = _target_labels(rows)
    for annotator in sorted({row["annotator"] for row in rows}):
        own = [row for row in rows if row["annotator"] == annotator]
        records += score_davis_sequence(rows[0]["video_id"], annotator, answers.label_maps(own), target)
    return records


def _target_labels(rows: Sequence[Row]) -> np.ndarray:
    """uint8 (frames, height, width): the objects' own labels, and 255 where the benchmark does not count pixels."""
    frames = range(rows[0]["num_frames"])
    if rows[0]["mask_format"] == "png_id":
        return np.stack([read_label_image(rows[0]["mask_paths"][index]) for index in frames])
    objects = {row["object_ids"][0]: row for row in rows}
    labels = np.zeros((len(frames), rows[0]["height"], rows[0]["width"]), np.uint8)
    for name, row in objects.items():
        labels[read_masks(row, frames)] = int(name)
    return labels


@torch.no_grad()
def score_videos(
    model: Any,
    processor: Any,
    table: Any,
    *,
    protocol: Protocol = PROTOCOLS["folder"],
    threshold: float | None = None,
    expressions_per_pass: int = 16,
    rank: int = 0,
    num_processes: int = 1,
) -> Iterator[list[Any]]:
    """
    Answer every expression of a table, and compare at the original size of the frames.

    Args:
        model, processor, threshold, expressions_per_pass: see `ModelAnswers`.
        table: a `datasets.Dataset` or a list of rows of the common schema, with masks.
        protocol: of the benchmark; by default all frames go through the model at once.
        rank, num_processes: score only the videos of this process, every `num_processes`-th one.

    Yields:
        the records of one video after the other, for `SUMMARIES[protocol.metrics]`.
    """
    answers = ModelAnswers(model, processor, protocol, threshold, expressions_per_pass)
    for group in group_by_video(table)[rank::num_processes]:
        yield score_rows(answers, [table[index] for index in group], protocol)[0]


__all__ = ["RECORDS", "SUMMARIES", "ModelAnswers", "StoredAnswers", "score_rows", "score_videos"]
