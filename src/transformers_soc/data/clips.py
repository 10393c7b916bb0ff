# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""From rows of the common schema, one expression each, to clips of pixels, several expressions each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from ..video_io import IMAGE_SUFFIXES, VideoDecodeError, decode_frames, open_binary, read_video, stack_frames
from .a2d_sentences import read_instance_mask
from .jhmdb_sentences import read_puppet_mask
from .moving_shapes import PREFIX, render_frames
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

Row = Mapping[str, Any]


def read_frames(row: Row, indices: Sequence[int]) -> np.ndarray:
    """
    Frames (frames, height, width, 3) uint8 of a row, with paths or bytes, at `indices`, which may repeat.

    Raises:
        FileNotFoundError, ValueError: as `video_io.read_video`.
    """
    if row.get("frames_bytes") is not None:
        return _decode_frames_bytes(row, indices)
    names = row["frames"]
    if names[0].startswith(PREFIX):
        return render_frames([names[index] for index in indices])
    if Path(names[0]).suffix.lower() in IMAGE_SUFFIXES:
        return stack_frames([names[index] for index in indices])
    return _decode_places(names[0], [row["frame_indices"][index] for index in indices])


def _decode_frames_bytes(row: Row, indices: Sequence[int]) -> np.ndarray:
    """As `read_frames`, from the bytes of a video file or of an image for each frame."""
    encoded = row["frames_bytes"]
    if row["frame_indices"] is not None:
        return _decode_places(encoded[0], [row["frame_indices"][index] for index in indices])
    pictures = []
    for index in indices:
        try:
            pictures.append(read_video(encoded[index])[0][0])
        except VideoDecodeError as error:
            frame = row["frame_names"][index]
            raise ValueError(
                f"{row['sample_id']}: the frame {frame!r} cannot be decoded; make its shard anew"
            ) from error
    return stack_frames(pictures)


def _decode_places(video: str | bytes, places: Sequence[int]) -> np.ndarray:
    """The frames of a video file, or of its bytes, at `places`."""
    with open_binary(video) as (file, name):
        decoded, _ = decode_frames(file, name, set(places))
    if len(decoded) != len(set(places)):
        raise ValueError(f"{name} has fewer than {max(places) + 1} frames that can be decoded")
    order = sorted(set(places))
    return np.stack([decoded[order.index(place)] for place in places])


def read_masks(row: Row, indices: Sequence[int]) -> np.ndarray:
    """
    Masks (frames, height, width) bool of a row at `indices`: the union of its objects, empty where they are absent.

    Raises:
        ValueError: a mask format that cannot be read, masks of another size than the row says, or corrupt ones.
    """
    size = (row["height"], row["width"])
    masks = np.zeros((len(indices), *size), bool)
    for index in set(indices):
        found = _read_mask(row, index)
        if found is not None and found.shape != size:
            raise ValueError(f"{row['sample_id']}: mask {index} is {found.shape}, the frames are {size}")
        if found is not None:
            masks[np.equal(indices, index)] = found
    return masks


def _read_mask(row: Row, index: int) -> np.ndarray | None:
    kind = row["mask_format"]
    if kind == "rle":
        from pycocotools import mask as coco_mask

        codes = row["mask_rles"][index]
        _check_codes(row, index, codes)
        return coco_mask.decode(coco_mask.merge(codes)).astype(bool) if codes else None
    if kind in ("png_id", "png_binary"):
        path = row["mask_paths"][index]
        return None if path is None else np.isin(read_label_image(path), row["mask_values"])
    if kind == "h5":  # one file for the annotated frame of a video file
        annotated = index in row["annotated_frame_indices"]
        return read_instance_mask(row["mask_paths"][0], row["mask_values"][0]) if annotated else None
    if kind == "mat":
        path = row["mask_paths"][index]
        return None if path is None else read_puppet_mask(path, index)
    raise ValueError(f"{row['sample_id']}: masks of the format {kind!r} cannot be read")


def _check_codes(row: Row, index: int, codes: Sequence[Mapping[str, Any]]) -> None:
    for code in codes:
        try:
            rle_runs(code, (row["height"], row["width"]))
        except ValueError as error:
            # A video file has one name for all of its frames.
            frame = index if row.get("frame_indices") else row["frame_names"][index]
            raise ValueError(f"{row['sample_id']}: the mask of the frame {frame!r} is corrupt: {error}") from error


def rle_runs(code: Mapping[str, Any], size: tuple[int, int] | None = None) -> np.ndarray:
    """
    Lengths (runs,) int64 of the runs of a COCO run-length code, of ground and of object in turn.

    Args:
        code: `{"size": [height, width], "counts": text}`.
        size: (height, width) that it must have; None: any.

    Raises:
        ValueError: the code has another size, or its runs do not fill it; pycocotools returns chance values then.
    """
    if not isinstance(code, Mapping) or not code.get("size") or not isinstance(code.get("counts"), (str, bytes)):
        raise ValueError(f"a run-length code has a size and counts as text, not {str(code)[:80]}")
    height, width = code["size"]
    if size not in (None, (height, width)):
        raise ValueError(f"its size is {(height, width)}, that of the frames {size}")
    counts = code["counts"]
    # A number is a group of characters with 5 bits each, the lowest first; bit 6 says that the group goes on.
    digits = np.frombuffer(counts if isinstance(counts, bytes) else counts.encode(), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(digits < 32)
    lengths = np.diff(ends, prepend=-1)
    whole = len(digits) and digits.min() >= 0 and digits.max() < 64 and digits[-1] < 32 and lengths.max() <= 7
    if not whole:
        raise ValueError("its counts are not those of a run-length code")
    starts = ends - lengths + 1
    places = np.arange(len(digits)) - np.repeat(starts, lengths)
    runs = np.add.reduceat((digits & 31) << 5 * places, starts) - ((digits[ends] & 16) << 1) * 32 ** (lengths - 1)
    # From the fourth run on, only the difference to the run before the last is stored.
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    if runs.min() < 0 or runs.sum() != height * width:
        raise ValueError(f"its runs fill {runs.sum()} pixels of {height * width}")
    return runs


def read_label_image(path: str | Path) -> np.ndarray:
    """Labels (height, width) of a palette or grey image; of a colour image, 1 where it is not black."""
    try:
        with Image.open(path) as image:
            labels = np.asarray(image)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{str(path)!r} is not a whole image: {error}; get the file anew") from error
    return labels if labels.ndim == 2 else labels[..., :3].max(-1).clip(max=1)


def target_presence(row: Row) -> np.ndarray:
    """Whether the target of a row is seen, (frames,) bool."""
    if row["mask_format"] == "rle":
        return np.array([any(_has_pixels(code) for code in codes) for codes in row["mask_rles"]], bool)
    frames = range(row["num_frames"])
    return np.array([found is not None and found.any() for found in (_read_mask(row, index) for index in frames)])


def _has_pixels(code: Mapping[str, Any]) -> bool:
    from pycocotools import mask as coco_mask

    return bool(coco_mask.area(code))


def group_by_video(table: Any) -> list[list[int]]:
    """
    Rows that share a video and, where only some frames are annotated, these frames too; in the order of the table.

    Args:
        table: a `datasets.Dataset` or a list of rows of the common schema.
    """
    names = ("dataset", "split", "video_id", "num_frames", "annotated_frame_indices")
    columns = [_column(table, name) for name in names]
    groups: dict[tuple, list[int]] = {}
    for index, (dataset, split, video, num_frames, annotated) in enumerate(zip(*columns, strict=True)):
        sparse = tuple(annotated) if len(annotated) != num_frames else None
        groups.setdefault((dataset, split, video, sparse), []).append(index)
    return list(groups.values())


def _column(table: Any, name: str) -> Sequence[Any]:
    return [row[name] for row in table] if isinstance(table, (list, tuple)) else table[name]


def read_clip(rows: Sequence[Row], indices: Sequence[int], class_names: Sequence[str] = ()) -> Clip:
    """
    The frames `indices` of a video with the expressions and masks of some of its rows.

    Args:
        class_names: categories in the order of the model's classes, where it has several.
    """
    masks = np.stack([read_masks(row, indices) for row in rows])
    labels = [class_names.index(row["category"]) for row in rows] if class_names else []
    return Clip(read_frames(rows[0], indices), masks, [row["expression"] for row in rows], labels)


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
    ) -> None:
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
        self.epoch = 0
        self.windows = [window for rows in group_by_video(table) for window in self._windows(rows)]
        # The window of each item, and its first expression in the order drawn for the epoch.
        self.items: list[tuple[int, int]] = []
        for index, window in enumerate(self.windows):
            step = expressions_per_clip or len(window.rows)
            self.items += [(index, start) for start in range(0, len(window.rows), step)]

    def _windows(self, rows: list[int]) -> list[Window]:
        """The windows of one video."""
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
        present = [target_presence(self.table[row]) for row in rows]
        no_target = [self.table[row]["no_target"] for row in rows]
        windows = []
        for span in spans:
            known = zip(rows, present, no_target, strict=True)
            asked = [row for row, seen, never in known if seen[span].any() or never]
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


__all__ = [
    "ClipDataset",
    "EpochStream",
    "group_by_video",
    "read_clip",
    "read_frames",
    "read_masks",
    "rle_runs",
    "target_presence",
]
