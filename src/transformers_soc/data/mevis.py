# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
MeViS, in a folder like this:

    train/JPEGImages/<video>/<frame>.jpg
    train/meta_expressions.json                         version 1, or
    train/meta_expressions_v2.json                      version 2, also as meta_expressions_v2_release.json
    train/mask_dict.json                                run-length codes by annotation and place of the frame
    valid_u/...                                         as train
    valid/...                                           without masks, which are kept on the server

An archive `JPEGImages.tar` has to be unpacked first, since rows hold the paths of frames; the error says how. The form
that SOC++ converts to is read with `mask_source="png"`: `train/Annotations/<video>/<frame>.png` with the values object
id + 1, and, if one likes, the meta file in `meta_expressions/train/`. There, one object covers the others.

Version 2 has a spoken form of the expressions. How it is named in the meta file is not documented: a key `audio` of an
expression is taken for a path from the folder of the split, and kept where there is such a file.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, IterableDataset
from transformers.utils import logging

from .clips import read_label_image, rle_runs
from .refer_youtube_vos import read_videos
from .tables import build_table, choose_split, frame_paths, image_size, numeric_order, read_json, require

logger = logging.get_logger(__name__)

SPLITS = {"train": (), "validation_u": ("valid_u",), "validation": ("valid",)}
FOLDERS = {"train": "train", "validation_u": "valid_u", "validation": "valid"}
META_FILES = {"v1": ("meta_expressions.json",), "v2": ("meta_expressions_v2.json", "meta_expressions_v2_release.json")}
MASK_SOURCES = {"mask_dict": "mask_dict.json", "png": "Annotations"}

# A run-length code of each object that is present.
FrameCodes = list[dict[str, Any]]


def load_mevis(
    root: str | Path,
    split: str,
    *,
    version: str = "v1",
    mask_source: str = "mask_dict",
    streaming: bool = False,
    num_proc: int | None = None,
    on_error: str = "raise",
) -> Dataset | IterableDataset:
    """
    One split of MeViS in the common schema; the module describes the folder.

    Args:
        root: the folder that holds `train`, `valid_u` and `valid`.
        split: "train", "validation_u" ("valid_u") or "validation" ("valid").
        version: "v1", or "v2" with expressions that nothing in the video fits: `no_target`, without objects.
        mask_source: "mask_dict", or "png" for the converted form of SOC++.
        streaming, num_proc, on_error: see `build_table`.

    Returns:
        a row per expression, by video and number. Frames are sorted by name, and the masks, stored by place, belong
        to the sorted names. The masks of "validation" are unknown, so that `no_target` is null.

    Raises:
        FileNotFoundError: a file or folder is missing, or only its archive is there.
        ValueError: a split, version or mask source that does not exist, an unknown annotation, a corrupt mask.
    """
    split = choose_split(split, SPLITS)
    for name, value, known in (("version", version, META_FILES), ("mask_source", mask_source, MASK_SOURCES)):
        if value not in known:
            raise ValueError(f"{name} must be {' or '.join(map(repr, known))}, got {value!r}")
    root = Path(root).absolute()
    folder = root / FOLDERS[split]
    meta = _find_meta(root, FOLDERS[split], version)
    require(folder / "JPEGImages", f"the frames of the split {split}")
    masks = None
    if split != "validation":
        masks = require(folder / MASK_SOURCES[mask_source], f"the masks of the split {split}")
    videos = read_videos(meta)
    entries = [entry for video in videos.values() for entry in video["expressions"].values()]
    if masks and not any(entry.get("obj_id") for entry in entries):
        raise ValueError(f"{str(meta)!r} has no obj_id at all: it is not the file of the split {split}")
    folders = [folder / "JPEGImages", *([masks] if masks and mask_source == "png" else [])]
    return build_table(
        _make_row,
        list_expressions(meta, videos),
        split,
        streaming=streaming,
        num_proc=num_proc,
        on_error=on_error,
        sources=[folder, meta, *([masks] if masks else []), *video_folders(folders, videos)],
        meta=str(meta),
        folder=str(folder),
        masks=masks and str(masks),
        columns={"dataset": "mevis", "dataset_version": version, "split": split},
    )


def _find_meta(root: Path, folder: str, version: str) -> Path:
    """The meta file of a split, in the official place or that of the converted form."""
    places = (root / folder, root / "meta_expressions" / folder)
    for path in (place / name for place in places for name in META_FILES[version]):
        if path.exists():
            return path
    for other in META_FILES:
        if any((place / name).exists() for place in places for name in META_FILES[other]):
            raise FileNotFoundError(
                f"{str(places[0] / META_FILES[version][0])!r} is missing, but the file of the version {other!r} is "
                f"there: load it with version={other!r}"
            )
    return require(places[0] / META_FILES[version][0], f"the expressions of MeViS {version}")


def read_once(path: Path, remedy: str) -> Any:
    """Content of a JSON file, read once in each process and anew when it changes: a mask_dict has 400 MB."""
    return _read_once(str(path), require(path, remedy).stat().st_mtime_ns, remedy)


@lru_cache(maxsize=8)
def _read_once(path: str, changed: int, remedy: str) -> Any:
    return read_json(Path(path), remedy)


def read_video(meta: Path, name: str) -> dict[str, Any]:
    """One video of a meta file that `read_videos` has found good."""
    return read_once(meta, "the expressions")["videos"][name]


def list_expressions(meta: Path, videos: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Items for `build_table`, by video and number; frames that are listed out of order give one warning."""
    unsorted = [name for name, video in videos.items() if video["frames"] != sorted(video["frames"])]
    if unsorted:
        logger.warning(
            "%s lists the frames of %d videos out of order, %r among them: they are sorted by name",
            meta,
            len(unsorted),
            unsorted[0],
        )
    return [
        {"video": name, "expression": number}
        for name in sorted(videos)
        for number in sorted(videos[name]["expressions"], key=numeric_order)
    ]


def video_folders(folders: Sequence[Path], videos: Mapping[str, Any]) -> list[Path]:
    """Those folders of videos that exist; a table is made anew when files come to one."""
    return [path for folder in folders for path in (folder / name for name in videos) if path.is_dir()]


def frame_columns(folder: Path, video: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that describe the frames of a video; the size is that of the first one, where the meta lacks it."""
    names = sorted(video["frames"])
    paths = frame_paths(folder, names)
    height, width = image_size(paths[0])
    return {
        "frames": paths,
        "frame_names": names,
        "num_frames": len(names),
        "height": video.get("height") or height,
        "width": video.get("width") or width,
    }


@contextmanager
def naming(item: Mapping[str, str], columns: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The names of a row, with `columns`, to add to; errors about files and values say which sample they belong to."""
    names = {"video_id": item["video"], "expression_id": item["expression"]}
    sample = "/".join((columns["dataset"], columns["split"], *names.values()))
    try:
        yield {**columns, **names, "sample_id": sample}
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{sample}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{sample}: {error}") from error


def _make_row(
    item: Mapping[str, str],
    meta: str,
    folder: str,
    masks: str | None,
    columns: Mapping[str, str],
) -> dict[str, Any]:
    """A row of the table; `masks` is a mask_dict, a folder of PNGs, or None: hidden."""
    video = read_video(Path(meta), item["video"])
    entry = video["expressions"][item["expression"]]
    version = columns["dataset_version"]
    audio = Path(folder, str(entry.get("audio") or ""))
    with naming(item, columns) as row:
        row["audio_path"] = str(audio) if version == "v2" and audio.is_file() else None
        row |= {"expression": entry["exp"], **frame_columns(Path(folder, "JPEGImages", item["video"]), video)}
        if masks is None:
            return row | hidden_columns()
        if version == "v1" and not entry.get("obj_id"):
            raise ValueError(f"{meta!r} gives the expression no obj_id, though each one of v1 has a target")
        if Path(masks).is_dir():
            return row | _png_columns(Path(masks), entry, row)
        return row | rle_columns(Path(masks), entry, row)


def hidden_columns() -> dict[str, Any]:
    """The columns of a row whose target is kept from the public."""
    return {"object_ids": [], "mask_format": "none", "annotated_frame_indices": []}


def rle_columns(masks: Path, entry: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """
    The columns of targets and masks out of a mask_dict. Without annotations, or if all of them are empty in all
    frames, the row has no target.

    Args:
        masks: the file.
        entry: an expression of the meta file, with `obj_id` and `anno_id`, or neither.
        row: its other columns.

    Raises:
        ValueError: ids that do not fit together, an annotation that the file lacks, a track that is not as long as
            the video, a corrupt code.
    """
    objects = [str(value) for value in entry.get("obj_id") or []]
    annotations = [str(value) for value in entry.get("anno_id") or []]
    if len(objects) != len(annotations):
        raise ValueError(f"obj_id {objects} and anno_id {annotations} do not pair up")
    stamp = require(masks, "the masks").stat().st_mtime_ns
    size = (row["height"], row["width"])
    tracks = [_read_track(str(masks), stamp, value, tuple(row["frame_names"]), size) for value in annotations]
    shown: list[FrameCodes] = [
        [code for track in tracks if (code := track[frame])] for frame in range(row["num_frames"])
    ]
    target = any(shown)
    return {
        "object_ids": objects if target else [],
        "annotation_ids": annotations if target else [],
        "no_target": not target,
        "mask_format": "rle",
        "mask_rles": shown,
        "annotated_frame_indices": list(range(row["num_frames"])),
    }


# Expressions of one video share its objects and come one after the other.
@lru_cache(maxsize=256)
def _read_track(
    path: str, changed: int, annotation: str, names: tuple[str, ...], size: tuple[int, int]
) -> list[dict[str, Any] | None]:
    """The masks of one object in the frames `names`, checked; None where no pixel of it is seen."""
    tracks = read_once(Path(path), "the masks")
    if annotation not in tracks:
        raise ValueError(f"{path!r} has no annotation {annotation!r}, which the meta file refers to")
    track = tracks[annotation]
    if len(track) != len(names):
        raise ValueError(
            f"{path!r} has {len(track)} masks of the annotation {annotation!r}, the video has {len(names)} frames"
        )
    checked = []
    for name, code in zip(names, track, strict=True):
        try:
            checked.append(check_code(code, size))
        except ValueError as error:
            raise ValueError(
                f"the mask of the frame {name!r} in {path!r}, annotation {annotation!r}, is corrupt: {error}"
            ) from error
    return checked


def check_code(code: Any, size: tuple[int, int] | None = None) -> dict[str, Any] | None:
    """
    A stored mask as one run-length code, None where it is empty.

    Args:
        code: a code, None, or several codes, whose union is meant (they decode to three dimensions).
        size: (height, width) that it must have; None: any.

    Raises:
        ValueError: see `rle_runs`.
    """
    codes = code if isinstance(code, list) else [code] if code is not None else []
    seen = [part for part in codes if rle_runs(part, size)[1::2].any()]
    if len(seen) > 1:
        from pycocotools import mask as coco_mask

        merged = coco_mask.merge(seen)
        seen = [merged | {"counts": merged["counts"].decode()}]
    return {"size": seen[0]["size"], "counts": seen[0]["counts"]} if seen else None


def _png_columns(masks: Path, entry: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of targets and masks of the converted form."""
    objects = [str(value) for value in entry.get("obj_id") or []]
    if not all(value.isdecimal() for value in objects):
        raise ValueError(f"obj_id {objects} are not numbers from 0")
    paths = frame_paths(masks / row["video_id"], row["frame_names"], ".png")
    values = {int(value) + 1 for value in objects}
    target = any(values.intersection(label_values(path)) for path in paths)
    if objects and not target:
        logger.warning("%s has no target: no mask shows one of the objects %s", row["sample_id"], ", ".join(objects))
    return {
        "object_ids": objects if target else [],
        "annotation_ids": [str(value) for value in entry.get("anno_id") or []] if target else [],
        "no_target": not target,
        "mask_format": "png_id",
        "mask_paths": paths,
        "mask_values": sorted(values) if target else [],
        "annotated_frame_indices": list(range(row["num_frames"])),
    }


@lru_cache(maxsize=4096)
def label_values(path: str) -> list[int]:
    """The values of an image of masks."""
    return np.unique(read_label_image(path)).tolist()


__all__ = [
    "check_code",
    "frame_columns",
    "hidden_columns",
    "label_values",
    "list_expressions",
    "load_mevis",
    "naming",
    "read_once",
    "read_video",
    "rle_columns",
    "video_folders",
]
