# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Ref-DAVIS17: the unsupervised DAVIS 2017 and four files of expressions, in the folders that their authors give out:

    DAVIS/JPEGImages/480p/<video>/<frame>.jpg
    DAVIS/Annotations_unsupervised/480p/<video>/<frame>.png    palette images, whose values are the ids of objects
    DAVIS/ImageSets/2017/{train,val}.txt                       a video in each line
    DAVIS/davis_semantics.json                                 categories of the objects; may be missing
    davis_text_annotations/Davis17_annot{1,2}.txt              expressions of those who saw the first frame alone
    davis_text_annotations/Davis17_annot{1,2}_full_video.txt   expressions of those who saw the whole video

A folder that was converted to the layout of Ref-YouTube-VOS (`meta_expressions`, `train`, `valid`) is read as well.
Nothing is moved or written: the official evaluation needs DAVIS as it is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset, IterableDataset
from transformers.utils import logging

from .meta_expressions import read_videos, video_folders
from .refer_youtube_vos import expression_items, make_row
from .tables import below, build_table, choose_split, read_json, require

logger = logging.get_logger(__name__)

SPLITS = {"train": (), "validation": ("valid", "val")}
LISTS = {"train": "train.txt", "validation": "val.txt"}
CONVERTED = {"train": "train", "validation": "valid"}
# In the order of the expression ids: expression 4k + a is the one of annotator a about object k.
TYPES = ("a1_first", "a1_full", "a2_first", "a2_full")
TEXTS = (
    ("Davis17_annot1.txt", "utf-8"),
    ("Davis17_annot1_full_video.txt", "utf-8"),
    ("Davis17_annot2.txt", "latin-1"),
    ("Davis17_annot2_full_video.txt", "latin-1"),
)
# Names of videos that the files of expressions misspell.
REPAIRS = {"clasic-car": "classic-car", "dog-scale": "dogs-scale", "motor-bike": "motorbike"}

# What one file says of one video: object and expression.
Lines = list[tuple[str, str]]


def load_refer_davis(
    root: str | Path, split: str, *, streaming: bool = False, num_proc: int | None = None, on_error: str = "raise"
) -> Dataset | IterableDataset:
    """
    The expressions of one split of Ref-DAVIS17, in the common schema. `annotator` is 0 to 3 and `expression_type`
    "a1_first", "a1_full", "a2_first" or "a2_full".

    When a row is made, the folders of the video are listed, so that no frame or mask is missing, and the size is read
    from the first frame; sizes of other frames are checked when they are read, by `read_frames` and `read_masks` of
    `transformers_soc.data.pixels`.

    Args:
        root: the folder that the module describes.
        split: "train" or "validation" (or "valid", "val").
        streaming: give an `IterableDataset`, whose rows are made when they are asked for.
        num_proc: processes that make the rows.
        on_error: "raise", or "skip" to leave out rows that cannot be made, with a warning.

    Returns:
        a row for each video and expression, by video and number of the expression.

    Raises:
        FileNotFoundError: a folder, file, frame or mask is missing.
        ValueError: there is no such split, a file that is damaged, or an object that the video does not have.
    """
    root = Path(root)
    name = choose_split(split, SPLITS)
    meta_file = root / "meta_expressions" / CONVERTED[name] / "meta_expressions.json"
    options: dict[str, Any] = {"streaming": streaming, "num_proc": num_proc, "on_error": on_error}
    if meta_file.exists():
        return _load_converted(root, name, meta_file, options)
    davis = require(root / "DAVIS", f"DAVIS 2017; or convert Ref-DAVIS17 so that {str(meta_file)!r} exists")
    videos = _read_list(davis / "ImageSets" / "2017" / LISTS[name])
    texts = [require(root / "davis_text_annotations" / file, "expressions of Ref-DAVIS17") for file, _ in TEXTS]
    frames = require(davis / "JPEGImages" / "480p", "the frames")
    masks = require(davis / "Annotations_unsupervised" / "480p", "the masks")
    return build_table(
        _make_listed_row,
        _read_items(videos, texts, davis / "davis_semantics.json"),
        name,
        sources=video_folders([frames, masks], videos),
        columns={"dataset": "ref_davis17", "split": name},
        frames_folder=str(frames),
        masks_folder=str(masks),
        **options,
    )


def _load_converted(root: Path, name: str, meta_file: Path, options: dict[str, Any]) -> Dataset | IterableDataset:
    """The table of a folder in the layout of Ref-YouTube-VOS."""
    folder = root / CONVERTED[name]
    return build_table(
        _make_annotated_row,
        expression_items(meta_file, read_videos(meta_file), folder / "meta.json"),
        name,
        sources=[path for path in (meta_file, folder / "meta.json") if path.exists()],
        columns={"dataset": "ref_davis17", "split": name},
        frames_folder=str(require(folder / "JPEGImages", f"the frames of the split {name}")),
        masks_folder=str(require(folder / "Annotations", f"the masks of the split {name}")),
        **options,
    )


def _read_list(path: Path) -> list[str]:
    """The videos of a split, sorted."""
    return sorted(require(path, "the videos of the split").read_text(encoding="utf-8").split())


def _read_items(videos: list[str], texts: list[Path], semantics: Path) -> list[dict[str, Any]]:
    """What the files of expressions say of each row, as the official conversion combines them."""
    files = [_read_lines(path, encoding) for path, (_, encoding) in zip(texts, TEXTS, strict=True)]
    categories = read_json(semantics, "the categories of the objects") if semantics.exists() else None
    items: list[dict[str, Any]] = []
    for video_id in videos:
        columns = []
        for path, lines in zip(texts, files, strict=True):
            if video_id not in lines:
                raise ValueError(f"{str(path)!r} has no expression of the video {video_id!r}; get the file anew")
            # Object 10 comes before object 2, as in the official ids.
            columns.append(sorted(lines[video_id], key=lambda line: line[0]))
        if len({tuple(object_id for object_id, _ in lines) for lines in columns}) > 1:
            logger.warning(
                "the files of expressions do not list the same objects of %r: only the first %d of each are used",
                video_id,
                min(map(len, columns)),
            )
        spoken = [line for lines in zip(*columns, strict=False) for line in lines]
        items += [
            {
                "video_id": video_id,
                "expression_id": str(number),
                "expression": expression,
                "object_id": object_id,
                "objects": None if categories is None else categories.get(video_id, {}),
                "source": str(texts[number % len(texts)]),
            }
            for number, (object_id, expression) in enumerate(spoken)
        ]
    return items


def _read_lines(path: Path, encoding: str) -> dict[str, Lines]:
    """Objects and expressions of each video, in the order of the file: lines of `<video> <object> "<expression>"`."""
    try:
        text = path.read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"{str(path)!r} is not {encoding} text; get the file anew") from error
    videos: dict[str, Lines] = {}
    # Not splitlines: latin-1 has bytes that it takes for ends of lines.
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words:
            continue
        if len(words) < 3:
            raise ValueError(f"{str(path)!r}, line {number}: must be a video, an object and an expression in quotes")
        expression = " ".join(words[2:])[1:-1]
        videos.setdefault(REPAIRS.get(words[0], words[0]), []).append((words[1], expression))
    return videos


def _make_listed_row(
    item: Mapping[str, Any], columns: Mapping[str, Any], frames_folder: str, masks_folder: str
) -> dict[str, Any]:
    """A row whose frames are those of the folders of the video."""
    video_id = item["video_id"]
    frames = require(below(frames_folder, video_id), "the frames of the video").glob("*.jpg")
    masks = require(below(masks_folder, video_id), "the masks of the video").glob("*.png")
    names = sorted({path.stem for path in (*frames, *masks)})
    if not names:
        raise FileNotFoundError(f"{str(below(frames_folder, video_id))!r} has no frames; unpack DAVIS anew")
    listed = {**item, "frame_names": names}
    return _make_annotated_row(listed, columns, frames_folder, masks_folder, "its folder of frames or masks")


def _make_annotated_row(
    item: Mapping[str, Any],
    columns: Mapping[str, Any],
    frames_folder: str,
    masks_folder: str,
    listed_by: str = "the meta file",
) -> dict[str, Any]:
    """A row with what the expression id says of the annotator."""
    annotator = int(item["expression_id"]) % len(TYPES)
    added = {"annotator": annotator, "expression_type": TYPES[annotator]}
    return make_row(item, {**columns, **added}, frames_folder, masks_folder, listed_by)


__all__ = ["load_refer_davis"]
