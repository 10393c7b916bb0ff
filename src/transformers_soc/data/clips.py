# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""From rows of the common schema, one expression each, to clips of pixels, several expressions each."""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from torch.utils.data import Dataset, IterableDataset
from transformers.utils import logging

from .pixels import read_frames, read_masks, target_presence
from .tables import ON_ERROR
from .transforms import (
    CLIP_POLICIES,
    Augmentation,
    Clip,
    anchored_window,
    centered_window,
    consecutive_windows,
    pseudo_video,
    spread_window,
)

logger = logging.get_logger(__name__)

CLIP_COLUMNS = ("dataset", "split", "video_id", "num_frames", "annotated_frame_indices")

Row = Mapping[str, Any]


def group_by_video(table: Any) -> list[list[int]]:
    """
    Rows that share a video and, where only some frames are annotated, these frames too; in the order of the table.

    Args:
        table: a `datasets.Dataset` or a list of rows of the common schema.
    """
    columns = [_column(table, name) for name in CLIP_COLUMNS]
    groups: dict[tuple, list[int]] = {}
    for index, values in enumerate(zip(*columns, strict=True)):
        groups.setdefault(_clip_key(*values), []).append(index)
    return list(groups.values())


def _clip_key(dataset: str, split: str, video: str, num_frames: int, annotated: Sequence[int]) -> tuple[Any, ...]:
    """What rows have in common that can share a clip, from their values of `CLIP_COLUMNS`."""
    return dataset, split, video, tuple(annotated) if len(annotated) != num_frames else None


def _column(table: Any, name: str) -> Sequence[Any]:
    return [row[name] for row in table] if isinstance(table, (list, tuple)) else table[name]


def seen_frames(table: Any) -> Sequence[Sequence[bool]]:
    """
    In which frames the target of each row is seen, (frames,) bool; empty for a video of which one frame is annotated,
    and for an image.

    All masks are read for it, which takes long for a benchmark. So the answer for a `datasets.Dataset` is kept in the
    cache of Datasets, until the table or a file of masks changes.
    """
    if not isinstance(table, datasets.Dataset):
        return [_seen_frames(row)["seen"] for row in table]
    paths = {path for paths in table["mask_paths"] for path in paths or () if path is not None}
    stamps = [(path, *_stamp(Path(path))) for path in sorted(paths)]
    key = hashlib.sha256(repr((table._fingerprint, stamps)).encode()).hexdigest()[:32]
    found = table.map(
        _seen_frames,
        remove_columns=table.column_names,
        features=datasets.Features({"seen": datasets.List(datasets.Value("bool"))}),
        cache_file_name=str(Path(datasets.config.HF_DATASETS_CACHE, "transformers_soc", f"seen-{key}.arrow")),
        load_from_cache_file=True,
        desc="Reading masks",
    )
    return found["seen"][:]


def _seen_frames(row: Row) -> dict[str, list[bool]]:
    alone = row["num_frames"] == 1 or len(row["annotated_frame_indices"]) == 1
    return {"seen": [] if alone else target_presence(row).tolist()}


def _stamp(path: Path) -> tuple[int, int]:
    """What changes with a file; one that is missing is an error when it is read."""
    status = path.stat() if path.exists() else None
    return (status.st_mtime_ns, status.st_size) if status else (0, 0)


def read_clip(rows: Sequence[Row], indices: Sequence[int], class_names: Sequence[str] = ()) -> Clip:
    """
    The frames `indices` of a video with the expressions and masks of some of its rows.

    Args:
        class_names: categories in the order of the model's classes, where it has several.

    Raises:
        FileNotFoundError, ValueError: frames or masks that are missing or damaged, with the name of the sample.
    """
    try:
        frames = read_frames(rows[0], indices)
        masks = np.stack([read_masks(row, indices) for row in rows])
    except (OSError, ValueError) as error:
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"{rows[0]['sample_id']}: {error}") from error
    labels = [class_names.index(row["category"]) for row in rows] if class_names else []
    return Clip(frames, masks, [row["expression"] for row in rows], labels)


@dataclass(frozen=True)
class Window:
    """
    A stretch of one video with the expressions that can be asked about it.

    Args:
        rows: of the table, one per expression.
        frames: of the video; with the policy "referformer" the anchor alone.
        annotated_frame: the place in `frames` that is answered for, where just one is annotated.
    """

    rows: list[int]
    frames: list[int]
    annotated_frame: int | None = None


class ClipDataset(Dataset):
    """
    Training clips of a table in the common schema, each with up to `expressions_per_clip` expressions about it.

    In every epoch each (expression, window) pair comes once; which expressions share a clip is drawn anew. Item
    `(epoch, index)` is a pure function of these two numbers and the seed, however many processes load.

    Args:
        table: a `datasets.Dataset` or a list of rows of the common schema.
        policy: "soc" (the official windows; a pair is left out when the target is in no frame of the window, unless
            the expression has no target at all), "referformer" (frames around an anchor and elsewhere) or "whole" (the
            video, thinned out evenly where it is longer: for sentences about the whole course of things). Whatever the
            policy, a video of which one frame is annotated gives the official A2D window around it, and an image a
            pseudo-video or, if it has an `image_id`, a clip of one frame.
        window_size: frames of a clip; with "whole" the most, and None: all.
        expressions_per_clip: the most; None: all of the video.
        augmentation: None: the clips as they are.
        class_names: see `read_clip`.
        seed: of every draw.
        on_error: what a clip that cannot be read does: "raise" an error that names the sample, or leave its place to
            the next item, with a warning ("skip").

    Attributes:
        num_skipped: how many clips were left out so far, in this process.
    """

    def __init__(
        self,
        table: Any,
        policy: str = "soc",
        window_size: int | None = 8,
        expressions_per_clip: int | None = None,
        augmentation: Augmentation | None = None,
        class_names: Sequence[str] = (),
        seed: int = 0,
        on_error: str = "raise",
    ) -> None:
        if on_error not in ON_ERROR:
            raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
        if policy not in CLIP_POLICIES:
            raise ValueError(f"policy must be one of {', '.join(CLIP_POLICIES)}, got {policy!r}")
        if window_size is None and policy != "whole":
            raise ValueError(f"the policy {policy!r} needs a window_size")
        self.table = table
        self.policy = policy
        self.window_size = window_size
        self.expressions_per_clip = expressions_per_clip
        self.augmentation = augmentation
        self.class_names = class_names
        self.seed = seed
        self.on_error = on_error
        self.num_skipped = 0
        self.epoch = 0
        seen = seen_frames(table) if policy != "whole" else [[]] * len(table)
        no_target = _column(table, "no_target")[:]
        self.windows = [
            window
            for rows in group_by_video(table)
            for window in self._windows(rows, [seen[row] for row in rows], [no_target[row] for row in rows])
        ]
        # The window of each item, and its first expression in the order drawn for the epoch.
        self.items: list[tuple[int, int]] = []
        for index, window in enumerate(self.windows):
            step = expressions_per_clip or len(window.rows)
            self.items += [(index, start) for start in range(0, len(window.rows), step)]

    def _windows(self, rows: list[int], seen: list[Sequence[bool]], no_target: list[bool | None]) -> list[Window]:
        """The windows of one video; `seen`, as of `seen_frames`, and `no_target` are those of its rows."""
        first = self.table[rows[0]]
        num_frames, annotated = first["num_frames"], first["annotated_frame_indices"]
        size = self.window_size or num_frames
        if num_frames == 1:
            return [Window(rows, [0])]
        if len(annotated) == 1:
            return [Window(rows, centered_window(annotated[0], num_frames, size), annotated_frame=size // 2)]
        if self.policy == "whole":
            return [Window(rows, spread_window(num_frames, size))]
        if self.policy == "referformer":
            spans = [[anchor] for anchor in range(0, num_frames, size)]
        else:
            spans = consecutive_windows(num_frames, size)
        windows = []
        for span in spans:
            known = zip(rows, seen, no_target, strict=True)
            asked = [row for row, frames, never in known if any(frames[index] for index in span) or never]
            windows += [Window(asked, span)] if asked else []
        return windows

    def set_epoch(self, epoch: int) -> None:
        """The epoch of items asked for by their index alone; trainers call it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: int | tuple[int, int]) -> Clip:
        """Clip of an index, or of an (epoch, index)."""
        epoch, index = key if isinstance(key, tuple) else (self.epoch, key)
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} clips, not one at {index}")
        for attempt in range(len(self)):
            try:
                return self._read(epoch, (index + attempt) % len(self))
            except (OSError, ValueError) as error:
                if self.on_error == "raise":
                    raise
                self.num_skipped += 1
                logger.warning("left out, %d so far: %s", self.num_skipped, error)
        raise ValueError("none of the clips can be read; the warnings say why")

    def _read(self, epoch: int, index: int) -> Clip:
        place, start = self.items[index]
        window = self.windows[place]
        # The same order for all items of the window, so that they share the expressions out among them.
        order = np.random.default_rng([self.seed, epoch, place, 0]).permutation(window.rows)
        chosen = order[start : start + (self.expressions_per_clip or len(order))]
        rows = [self.table[int(row)] for row in chosen]
        generator = np.random.default_rng([self.seed, epoch, index, 1])
        clip = read_clip(rows, self._draw_frames(window, rows[0]["num_frames"], generator), self.class_names)
        clip.annotated_frame = window.annotated_frame
        if rows[0]["num_frames"] == 1 and rows[0]["image_id"] is None:
            clip = pseudo_video(clip, self.window_size or 1, generator)
        return clip if self.augmentation is None else self.augmentation(clip, generator)

    def _draw_frames(self, window: Window, num_frames: int, generator: np.random.Generator) -> list[int]:
        drawn = self.policy == "referformer" and window.annotated_frame is None and num_frames > 1
        if not drawn or self.window_size is None:
            return window.frames
        return anchored_window(window.frames[0], num_frames, self.window_size, generator)


class ClipStream(IterableDataset):
    """
    Training clips of rows that come as a stream, such as the shards of `data push`, for `torch.utils.data.DataLoader`.

    Rows of one video that follow each other share clips, as in [`ClipDataset`]; a stream that is shuffled by its
    shards keeps them together. Workers of a `DataLoader` and `datasets.distributed.split_dataset_by_node` share the
    shards out.

    Args:
        rows: a `datasets.IterableDataset`, or any iterable of rows.
        seed: of every draw.
        options: further arguments of [`ClipDataset`].
    """

    def __init__(self, rows: Iterable[Row], seed: int = 0, **options: Any) -> None:
        self.rows = rows
        self.seed = seed
        self.options = options
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the next pass; it changes what is drawn, and the order of a shuffled stream."""
        self.epoch = epoch
        if hasattr(self.rows, "set_epoch"):
            self.rows.set_epoch(epoch)

    def __iter__(self) -> Iterator[Clip]:
        for _, group in groupby(self.rows, key=lambda row: _clip_key(*(row[name] for name in CLIP_COLUMNS))):
            rows = list(group)
            own = zlib.crc32(f"{self.seed}/{rows[0]['sample_id']}".encode())  # not the same draws for every video
            clips = ClipDataset(rows, seed=own, **self.options)
            yield from (clips[self.epoch, index] for index in range(len(clips)))


class EpochStream:
    """
    Batches of (epoch, index) without end: one shuffled epoch after the other, cut into the batches of all processes.
    Position and content depend on the seed alone, so that training can go on from any step.

    Args:
        num_items: of an epoch.
        batch_size: of one process.
        rank, num_processes: whose batches of how many.
        start: the first step to give.
        seed: of the shuffling.
    """

    def __init__(
        self, num_items: int, batch_size: int, rank: int = 0, num_processes: int = 1, start: int = 0, seed: int = 0
    ) -> None:
        if num_items < 1:
            raise ValueError("there is nothing to train on: the data set has no clip with a target")
        self.num_items = num_items
        self.batch_size = batch_size
        self.rank = rank
        self.num_processes = num_processes
        self.start = start
        self.seed = seed

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = -1, np.empty(0, int)
        step = self.start
        while True:
            first = (step * self.num_processes + self.rank) * self.batch_size
            batch = []
            for position in range(first, first + self.batch_size):
                if position // self.num_items != epoch:
                    epoch = position // self.num_items
                    order = np.random.default_rng([self.seed, epoch, 2]).permutation(self.num_items)
                batch.append((epoch, int(order[position % self.num_items])))
            yield batch
            step += 1


__all__ = ["ClipDataset", "ClipStream", "EpochStream", "group_by_video", "read_clip"]
