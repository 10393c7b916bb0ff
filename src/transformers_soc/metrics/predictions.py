# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Predicted masks on the disk, made by any program, in a folder or a ZIP archive:

    <video>/<expression>/<frame>.png       a mask for each frame of each expression
    anno_<annotator>/<video>/<frame>.png   Ref-DAVIS17: the objects of an annotator's expressions in one image
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..data.submission import MaskFiles, is_unsafe
from ..video_io import replacing

MISSING = ("raise", "empty")
TOP = "Annotations"
SCORE_THRESHOLD = 0.5  # the ground of the Ref-DAVIS17 protocol, 0.1, is less than every score that counts


class PredictionReader:
    """
    Reads the predictions for rows of the common schema. Nothing is resized, and nothing is unpacked to the disk.

    Args:
        path: of a folder or a ZIP archive, with or without the folder `Annotations` at its top.
        missing: what a file that is missing does: "raise" an error that names it, or count as a mask that is "empty".

    Attributes:
        num_missing: how many files were missing so far.

    Raises:
        FileNotFoundError: there is no such folder or archive.
        ValueError: the archive cannot be read, or `missing` is neither.
    """

    def __init__(self, path: str | Path, *, missing: str = "raise"):
        if missing not in MISSING:
            raise ValueError(f"missing must be 'raise' or 'empty', got {missing!r}")
        self.missing = missing
        self.num_missing = 0
        self._files = MaskFiles(path)
        self._top = f"{TOP}/" if self._files.has_folder(TOP) else ""

    def __enter__(self) -> "PredictionReader":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self._files.close()

    def read(self, row: Mapping[str, Any]) -> np.ndarray:
        """
        Masks (frames, height, width) bool of a row. In images of any mode, what is not black is the object.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged, or of another size than the frames.
        """
        masks = np.zeros((len(row["frame_names"]), row["height"], row["width"]), bool)
        for mask, image in zip(masks, self._images(row, f"{row['video_id']}/{row['expression_id']}"), strict=True):
            if image is not None:
                mask[:] = _not_black(image)
        return masks

    def read_labels(self, row: Mapping[str, Any]) -> np.ndarray:
        """
        Label maps (frames, height, width) uint8 that belong to the video and annotator of a row of Ref-DAVIS17.

        Raises:
            FileNotFoundError, ValueError: as in `read`; ValueError also for an image of another mode than P or L.
        """
        labels = np.zeros((len(row["frame_names"]), row["height"], row["width"]), np.uint8)
        folder = _annotator_folder(row)
        for index, image in enumerate(self._images(row, folder)):
            if image is not None and image.mode not in ("P", "L"):
                name = row["frame_names"][index]
                raise ValueError(f"'{folder}/{name}.png' has the mode {image.mode}, which holds no labels: use P")
            if image is not None:
                labels[index] = np.asarray(image)
        return labels

    def _images(self, row: Mapping[str, Any], folder: str) -> Iterable[Image.Image | None]:
        """The image of each frame, None for a missing one that counts as empty."""
        if len(row["frame_names"]) != row["num_frames"]:
            raise ValueError(f"{row['sample_id']}: masks are named as the frames are, but these have no names")
        for frame in row["frame_names"]:
            name = f"{self._top}{folder}/{frame}.png"
            if is_unsafe(name):
                raise ValueError(f"{row['sample_id']}: {name!r} cannot be the name of a mask")
            try:
                yield self._files.read_png(name, (row["height"], row["width"]))
            except FileNotFoundError:
                self.num_missing += 1
                if self.missing == "raise":
                    raise FileNotFoundError(
                        f"{name!r} is missing in {str(self._files.path)!r}: predict every frame, or let missing masks "
                        "count as empty"
                    ) from None
                yield None


def _not_black(image: Image.Image) -> np.ndarray:
    """Where an image shows anything, (height, width) bool; palette images by their colours."""
    if image.mode in ("P", "PA", "RGBA", "LA"):
        image = image.convert("RGB")
    pixels = np.asarray(image)
    return np.any(pixels, axis=-1) if pixels.ndim == 3 else np.not_equal(pixels, 0)


def compose_label_maps(scores: Iterable[np.ndarray]) -> np.ndarray:
    """
    The label maps that an annotator's expressions give together, after the Ref-DAVIS17 protocol: a pixel belongs to
    the object with the highest score of at least 0.5, to the first one of equals, and else to the ground.

    Args:
        scores: for each object (frames, height, width) floats in 0..1; an array (objects, frames, height, width), or
            one object after the other to spare memory.

    Returns:
        (frames, height, width) uint8, 0 = ground, 1 = the first object.

    Raises:
        ValueError: no objects, more than 255, or scores of different shapes.
    """
    best: np.ndarray | None = None
    for label, score in enumerate(scores, start=1):
        score = np.asarray(score)
        if best is None:
            best, labels = np.zeros_like(score), np.zeros(score.shape, np.uint8)
        if label > 255 or score.shape != best.shape or score.ndim != 3:
            raise ValueError(
                f"object {label} has scores of the shape {score.shape}: give the same (frames, height, width) for all "
                "objects, at most 255"
            )
        better = (score >= SCORE_THRESHOLD) & (score > best)
        best[better], labels[better] = score[better], label
    if best is None:
        raise ValueError("there are no scores: give those of at least one object")
    return labels


def write_label_maps(folder: str | Path, row: Mapping[str, Any], labels: np.ndarray) -> list[Path]:
    """
    Write label maps as the evaluation of Ref-DAVIS17 reads them, `anno_<annotator>/<video>/<frame>.png` with the
    palette of DAVIS.

    Args:
        folder: of the four annotators' folders; made where it does not exist.
        row: any row about the video and annotator.
        labels: (frames, height, width) uint8, 0 = ground.

    Returns:
        the files, each of which appears only when it is complete.

    Raises:
        ValueError: labels of another type or shape.
    """
    shape = (len(row["frame_names"]), row["height"], row["width"])
    labels = np.asarray(labels)
    if labels.dtype != np.uint8 or labels.shape != shape:
        raise ValueError(
            f"{row['sample_id']}: the labels are {labels.dtype} {labels.shape}, they must be uint8 {shape}"
        )
    target = Path(folder) / _annotator_folder(row)
    target.mkdir(parents=True, exist_ok=True)
    paths, palette = [], davis_palette()
    for name, label_map in zip(row["frame_names"], labels, strict=True):
        image = Image.fromarray(label_map)
        image.putpalette(palette)  # makes it an image of the mode P
        paths.append(target / f"{name}.png")
        with replacing(paths[-1]) as temporary:
            image.save(temporary, format="PNG")
    return paths


def _annotator_folder(row: Mapping[str, Any]) -> str:
    if row["annotator"] is None:
        raise ValueError(f"{row['sample_id']} has no annotator: label maps are for rows of Ref-DAVIS17")
    return f"anno_{row['annotator']}/{row['video_id']}"


def davis_palette() -> list[int]:
    """
    Red, green and blue of the 256 labels as DAVIS and Pascal VOC colour them: the bits of a label, in threes from the
    lowest, are the bits of the three colours from the highest.
    """
    return [
        sum((label >> (3 * bit + colour) & 1) << (7 - bit) for bit in range(8))
        for label in range(256)
        for colour in range(3)
    ]


__all__ = ["PredictionReader", "compose_label_maps", "davis_palette", "write_label_maps"]
