# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""From rows of the common schema to pixels: frames and masks, read from files, bytes, names or codes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..video_io import (
    DEFAULT_LIMITS,
    IMAGE_SUFFIXES,
    VideoDecodeError,
    decode_frames,
    open_binary,
    open_image,
    read_video,
    stack_frames,
)
from .a2d_sentences import read_instance_mask
from .jhmdb_sentences import read_puppet_mask
from .moving_shapes import PREFIX, render_frames

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
    DEFAULT_LIMITS.check_pixels(f"{row['sample_id']}: a mask", *size)
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
    DEFAULT_LIMITS.check_pixels("it", height, width)
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
    with open_binary(path) as (file, name), open_image(file, name) as image:
        labels = np.asarray(image)
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


__all__ = ["read_frames", "read_label_image", "read_masks", "rle_runs", "target_presence"]
