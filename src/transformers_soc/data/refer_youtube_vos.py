# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Ref-YouTube-VOS, in the folder that its authors give out:

    meta_expressions/{train,valid,test}/meta_expressions.json   expressions and frames of each video
    {train,valid,test}/JPEGImages/<video>/<frame>.jpg           every fifth frame; the first is not always 00000
    {train,valid,test}/Annotations/<video>/<frame>.png          palette images, whose values are the ids of objects
    {train,valid,test}/meta.json                                categories of the objects; may be missing

The functions below `load_refer_youtube_vos` also serve data sets that were converted to this layout.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, IterableDataset
from transformers.utils import logging

from .meta_expressions import Videos, label_values, read_videos
from .tables import below, build_table, choose_split, frame_paths, image_size, numeric_order, read_json, require

logger = logging.get_logger(__name__)

SPLITS = {"train": (), "validation": ("valid",), "test": ()}
FOLDERS = {"train": "train", "validation": "valid", "test": "test"}
TEST_FILE = "meta_expressions/test/meta_expressions.json"


def load_refer_youtube_vos(
    root: str | Path, split: str, *, streaming: bool = False, num_proc: int | None = None, on_error: str = "raise"
) -> Dataset | IterableDataset:
    """
    The expressions of one split of Ref-YouTube-VOS, in the common schema.

    The meta file of the validation set may list the videos of the test set too: these are left out, by the meta file
    of the test set, or where that is missing, as the videos without a folder of frames. Masks of the validation and
    test set are used where the meta file says `obj_id` and the folder `Annotations` is there; otherwise `mask_format`
    is "none" and the target unknown.

    When a row is made, the folders of the video are listed, so that no frame or mask is missing, and the size is read
    from the first frame. Whether other frames or masks have another size is known when they are read: `read_frames`
    and `read_masks` of `transformers_soc.data.pixels` raise then. An object must be in `meta.json`; where there is no
    such file, the masks are opened one after the other until one shows it.

    Args:
        root: the folder that the module describes.
        split: "train", "validation" (or "valid") or "test".
        streaming: give an `IterableDataset`, whose rows are made when they are asked for.
        num_proc: processes that make the rows.
        on_error: "raise", or "skip" to leave out rows that cannot be made, with a warning.

    Returns:
        a row for each video and expression, by video and number of the expression.

    Raises:
        FileNotFoundError: a folder, meta file, frame or mask is missing.
        ValueError: there is no such split, a meta file that is damaged, or an object that the video does not have.
    """
    root = Path(root)
    name = choose_split(split, SPLITS)
    source = root / "meta_expressions" / FOLDERS[name] / "meta_expressions.json"
    videos = read_videos(source)
    if name == "validation":
        videos = _validation_videos(videos, root)
    folder = root / FOLDERS[name]
    items = expression_items(source, videos, folder / "meta.json")
    given = name == "train" or (
        (folder / "Annotations").is_dir() and any(item["object_id"] is not None for item in items)
    )
    return build_table(
        make_row,
        items,
        name,
        streaming=streaming,
        num_proc=num_proc,
        on_error=on_error,
        sources=[path for path in (source, folder / "meta.json") if path.exists()],
        columns={"dataset": "ref_youtube_vos", "split": name},
        frames_folder=str(require(folder / "JPEGImages", f"the frames of the split {name}")),
        masks_folder=str(require(folder / "Annotations", f"the masks of the split {name}")) if given else None,
    )


def leave_out_test(videos: Videos, root: Path) -> Videos:
    """
    The videos of the validation set, of a meta file that may list those of the test set too: those that the meta file
    of the test set does not have, or where that is missing, those with a folder of frames.
    """
    if (root / TEST_FILE).exists():
        test = read_videos(root / TEST_FILE)
        return {video_id: video for video_id, video in videos.items() if video_id not in test}
    frames = root / FOLDERS["validation"] / "JPEGImages"
    return {video_id: video for video_id, video in videos.items() if (frames / video_id).is_dir()}


def _validation_videos(videos: Videos, root: Path) -> Videos:
    """As `leave_out_test`, with an error or a warning where the folders of frames decide."""
    kept = leave_out_test(videos, root)
    if (root / TEST_FILE).exists():
        return kept
    frames = require(root / FOLDERS["validation"] / "JPEGImages", "the frames of the split validation")
    if not kept:
        raise FileNotFoundError(
            f"{str(frames)!r} has no folder of any video of the meta file; unpack the frames there"
        )
    if len(kept) < len(videos):
        logger.warning(
            "%s is missing: the %d videos without a folder in %s are taken for those of the test set",
            root / TEST_FILE,
            len(videos) - len(kept),
            frames,
        )
    return kept


def expression_items(source: Path, videos: Videos, objects_file: Path) -> list[dict[str, Any]]:
    """What is known of each row from the meta files, by video and number of the expression; see `make_row`."""
    categories = _read_categories(objects_file) if objects_file.exists() else None
    items = []
    for video_id, video in sorted(videos.items()):
        names = sorted(video["frames"])
        objects = None if categories is None else categories.get(video_id, {})
        for expression_id in sorted(video["expressions"], key=numeric_order):
            entry = video["expressions"][expression_id]
            items.append(
                {
                    "video_id": video_id,
                    "expression_id": expression_id,
                    "expression": entry["exp"],
                    "object_id": str(entry["obj_id"]) if "obj_id" in entry else None,
                    "objects": objects,
                    "frame_names": names,
                    "source": str(source),
                }
            )
    return items


def _read_categories(path: Path) -> dict[str, dict[str, str]]:
    """The category of each object of each video."""
    content = read_json(path, "the categories of the objects")
    try:
        return {
            video_id: {object_id: entry["category"] for object_id, entry in video["objects"].items()}
            for video_id, video in content["videos"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{str(path)!r} does not give the category of each object; get the file anew") from error


def make_row(
    item: Mapping[str, Any],
    columns: Mapping[str, Any],
    frames_folder: str,
    masks_folder: str | None,
    listed_by: str = "the meta file",
) -> dict[str, Any]:
    """
    A row of a video and expression.

    Args:
        item: "video_id", "expression_id", "expression", "object_id" (None: unknown), "frame_names", "objects" (the
            category of each object of the video, or None: unknown), "source" (the file that has the expression).
        columns: further columns of the row, "dataset" and "split" among them.
        frames_folder, masks_folder: hold a folder for each video; no masks: the target is hidden.
        listed_by: see `frame_paths`.

    Raises:
        FileNotFoundError: a frame or mask is missing.
        ValueError: the video does not have the object.
    """
    video_id, expression_id, names = item["video_id"], item["expression_id"], item["frame_names"]
    frames = frame_paths(below(frames_folder, video_id), names, listed_by=listed_by)
    height, width = image_size(frames[0])
    row = {
        "video_id": video_id,
        "expression_id": expression_id,
        "expression": item["expression"],
        "object_ids": [],
        "frames": frames,
        "frame_names": names,
        "num_frames": len(frames),
        "height": height,
        "width": width,
        "mask_format": "none",
        "annotated_frame_indices": [],
        "sample_id": f"{columns['dataset']}/{columns['split']}/{video_id}/{expression_id}",
        **columns,
    }
    if masks_folder is None:
        return row
    folder = require(below(masks_folder, video_id), "the masks of the video")
    masks = frame_paths(folder, names, ".png", listed_by)
    _check_object(item, masks)
    target = {
        "object_ids": [item["object_id"]],
        "category": item["objects"] and item["objects"][item["object_id"]],
        "no_target": False,
        "mask_format": "png_id",
        "mask_paths": masks,
        "mask_values": [int(item["object_id"])],
        "annotated_frame_indices": list(range(len(frames))),
    }
    return row | target


def _check_object(item: Mapping[str, Any], masks: Sequence[str]) -> None:
    """The object of an expression must be one of the video."""
    object_id, objects = item["object_id"], item["objects"]
    where = f"{item['source']!r}: expression {item['expression_id']!r} of the video {item['video_id']!r}"
    if object_id is None:
        raise ValueError(f"{where} has no object ('obj_id'); get the file anew")
    if objects is not None and object_id not in objects:
        known = ", ".join(sorted(objects, key=numeric_order)) or "none"
        raise ValueError(f"{where} is about the object {object_id!r}; the objects of the video are {known}")
    if not object_id.isdecimal():
        raise ValueError(f"{where} is about the object {object_id!r}, which is no number that masks can have")
    if objects is None and not any(int(object_id) in label_values(path) for path in masks):
        raise ValueError(f"{where} is about the object {object_id!r}, which none of its masks shows")


__all__ = ["load_refer_youtube_vos"]
