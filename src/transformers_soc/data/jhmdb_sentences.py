# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
JHMDB-Sentences: a sentence about the actor of each video, asked in three frames. The official layout:

    jhmdb_annotation.txt                             video_id,query
    Rename_Images/<action>/<video>/00001.png
    puppet_mask/<action>/<video>/puppet_mask.mat     `part_mask` (height, width, frames)

Which three frames is no part of the data set: they were drawn, and published results use different draws. The draw of
a paper is a list that its authors publish, a file like `jhmdb_sentences_samples_metadata.json`.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from datasets import Dataset, IterableDataset

from ..video_io import DEFAULT_LIMITS, replacing
from .tables import Item, below, build_table, choose_split, frame_paths, image_size, read_csv, read_json, require

EXPRESSION_FILE = "jhmdb_annotation.txt"
IMAGES = "Rename_Images"
MASKS = "puppet_mask"
MASK_FILE = "puppet_mask.mat"
MASK_KEY = "part_mask"
FRAMES_PER_VIDEO = 3
SHORT_VIDEOS = ("raise", "all")


def load_jhmdb_sentences(
    root: str | Path,
    split: str = "test",
    *,
    samples: str | Path | None = None,
    seed: int = 0,
    short_videos: str = "raise",
    streaming: bool = False,
    num_proc: int | None = None,
    on_error: str = "raise",
) -> Dataset | IterableDataset:
    """
    JHMDB-Sentences in the common schema: a row for each sentence and frame that is asked for.

    A video ends at its last frame with a mask, as in the official loader.

    Args:
        root: the folder that holds `jhmdb_annotation.txt`.
        split: "test", the only one.
        samples: file of a published draw of frames, [[video, image, masks, number of frames, sentence], ...]; of its
            paths the last three parts count. `dataset_version` is the name of the file.
        seed: of the draw of three frames from each video where there is no such file; `dataset_version` says which.
            `save_samples` makes a file of the draw.
        short_videos: what the draw does where fewer than three frames have masks: "raise" an error, or take "all".
        streaming, num_proc, on_error: see `build_table`.

    Returns:
        rows in the order of video and frame.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: no such split, or a file that does not hold what it should.
    """
    root = Path(root).absolute()
    split = choose_split(split, {"test": ()})
    if short_videos not in SHORT_VIDEOS:
        raise ValueError(f"short_videos must be 'raise' or 'all', got {short_videos!r}")
    expressions = _read_expressions(root / EXPRESSION_FILE)
    if samples is None:
        items = _draw_items(root, expressions, seed, short_videos, on_error)
    else:
        items = _listed_items(Path(samples), expressions)
    places = {
        path: None for item in items if "action" in item for path in _places(root, item["action"], item["video"])
    }
    return build_table(
        _make_row,
        items,
        split,
        streaming=streaming,
        num_proc=num_proc,
        on_error=on_error,
        sources=[path for path in places if path.exists()],
        root=str(root),
        version=f"seed {seed}" if samples is None else Path(samples).name,
    )


def save_samples(table: Iterable[Mapping[str, Any]], path: str | Path) -> None:
    """Write the frames of a table as a list that `load_jhmdb_sentences` takes, so that a draw can be published."""
    entries = []
    for row in table:
        (place,) = row["annotated_frame_indices"]
        paths = ["/".join(Path(name[place]).parts[-4:]) for name in (row["frames"], row["mask_paths"])]
        entries.append([row["video_id"], *paths, row["num_frames"], row["expression"]])
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(entries, indent=1), encoding="utf-8")


def _read_expressions(path: Path) -> dict[str, str]:
    """The expression of each video, in the order of the videos."""
    rows = read_csv(path, ("video_id", "query"), "the sentences")
    expressions = dict(sorted(rows))
    if len(expressions) < len(rows):
        videos = [video for video, _ in rows]
        twice = next(video for video in videos if videos.count(video) > 1)
        raise ValueError(f"{str(path)!r} has the video {twice!r} twice; keep one of the rows")
    return expressions


def _listed_items(path: Path, expressions: Mapping[str, str]) -> list[Item]:
    """The frames of a published list."""
    items: dict[tuple[str, int], Item] = {}
    for number, entry in enumerate(read_json(path, "a published draw of frames")):
        try:
            video, image, _, total, _ = entry
            action, folder, name = PureWindowsPath(image).parts[-3:]  # splits at / as well as at \
            frame = int(Path(name).stem)
            item = {"video": video, "action": action, "frame": frame, "total": int(total)}
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{str(path)!r}, entry {number}: must be [video, image, masks, number of frames, sentence], "
                f"got {entry}"
            ) from error
        if folder != video or video not in expressions:
            raise ValueError(f"{str(path)!r}, entry {number}: {EXPRESSION_FILE} has no video {folder!r}")
        if (video, frame) in items:
            raise ValueError(f"{str(path)!r}, entry {number}: has the frame {frame} of {video!r} a second time")
        items[video, frame] = item | {"expression": expressions[video]}
    return [items[key] for key in sorted(items)]


def _draw_items(root: Path, expressions: Mapping[str, str], seed: int, short_videos: str, on_error: str) -> list[Item]:
    """Three frames of each video; a video that cannot be read gives an item that says why."""
    folders = require(root / IMAGES, "the frames").glob("*/*")
    actions = {folder.name: folder.parent.name for folder in folders if folder.is_dir()}
    items: list[Item] = []
    for video, expression in expressions.items():
        try:
            if video not in actions:
                raise FileNotFoundError(f"{str(root / IMAGES)!r} has no folder of frames {video!r}")
            total = _count_frames(*_places(root, actions[video], video))
            frames = _draw_frames(video, total, seed, short_videos)
        except (OSError, ValueError) as error:
            if on_error == "raise":
                raise
            items.append({"video": video, "error": str(error)})
            continue
        item = {"video": video, "action": actions[video], "total": total, "expression": expression}
        items += [item | {"frame": frame} for frame in frames]
    return items


def _places(root: Path, action: str, video: str) -> tuple[Path, Path]:
    """The folder of frames and the file of masks."""
    return below(root / IMAGES, action, video), below(root / MASKS, action, video, MASK_FILE)


def _count_frames(images: Path, masks: Path) -> int:
    """Frames that have masks; some videos have more images."""
    num_images = sum(path.suffix == ".png" for path in images.iterdir())
    return min(num_images, _masks_shape(masks)[2])


def _draw_frames(video: str, total: int, seed: int, short_videos: str) -> list[int]:
    """Numbers from 1; a video gives the same ones whatever else is in the data set."""
    if total < FRAMES_PER_VIDEO and (short_videos == "raise" or total == 0):
        raise ValueError(
            f"{total} frames of {video!r} have masks, and {FRAMES_PER_VIDEO} are drawn: pass short_videos='all' to "
            "take all where there are fewer"
        )
    generator = np.random.default_rng([seed, *video.encode()])
    drawn = generator.choice(total, size=min(total, FRAMES_PER_VIDEO), replace=False)
    return sorted((drawn + 1).tolist())


def _make_row(item: Item, root: str, version: str) -> dict[str, Any]:
    if "error" in item:
        raise ValueError(item["error"])
    video, action, frame, total = item["video"], item["action"], item["frame"], item["total"]
    images, masks = _places(Path(root), action, video)
    frames = frame_paths(images, [f"{n:05d}" for n in range(1, total + 1)], ".png", listed_by="the draw of frames")
    height, width, num_masks = _masks_shape(masks)
    if not 1 <= frame <= min(total, num_masks):
        raise ValueError(f"frame {frame} of {video!r} has no mask: {str(masks)!r} has {num_masks}")
    if (height, width) != image_size(frames[0]):
        raise ValueError(f"the masks of {str(masks)!r} are {width}x{height}, the frames are not")
    return {
        "dataset": "jhmdb_sentences",
        "dataset_version": version,
        "split": "test",
        "video_id": video,
        "expression_id": "0",
        "expression": item["expression"],
        "object_ids": ["1"],
        "no_target": False,
        "frames": frames,
        "frame_names": [Path(path).stem for path in frames],
        "num_frames": total,
        "height": height,
        "width": width,
        "mask_format": "mat",
        "mask_paths": [str(masks) if number == frame else None for number in range(1, total + 1)],
        "mask_values": [1],
        "annotated_frame_indices": [frame - 1],
        "image_id": f"v_{video}_f_{frame}",
        "sample_id": f"jhmdb_sentences/test/{video}/0/{frame}",
    }


def _masks_shape(path: Path) -> tuple[int, int, int]:
    """(height, width, frames) of a file of masks, from its header."""
    from scipy.io import whosmat

    try:
        shapes = {name: shape for name, shape, _ in whosmat(require(path, "the masks of a video"))}
    except Exception as error:
        raise _unreadable(path, error) from error
    if len(shapes.get(MASK_KEY, ())) not in (2, 3):
        raise ValueError(f"{str(path)!r} has no {MASK_KEY} (height, width, frames); get the file anew")
    height, width, *frames = shapes[MASK_KEY]
    DEFAULT_LIMITS.check_pixels(f"{str(path)!r}, all masks together,", height * max(frames, default=1), width)
    return height, width, frames[0] if frames else 1  # the format drops a last axis of one


def read_puppet_mask(path: str, index: int) -> np.ndarray:
    """
    Mask (height, width) bool of the frame `index`, from 0.

    Raises:
        FileNotFoundError, ValueError: there is no such file, it cannot be read, or it has no such frame.
    """
    from scipy.io import loadmat

    num_masks = _masks_shape(Path(path))[2]
    if index >= num_masks:
        raise ValueError(f"{path!r} has no mask of frame {index}, only {num_masks} masks")
    try:
        masks = loadmat(path, variable_names=[MASK_KEY])[MASK_KEY]
    except Exception as error:
        raise _unreadable(Path(path), error) from error
    return masks.reshape(*masks.shape[:2], -1)[..., index] > 0


def _unreadable(path: Path, error: Exception) -> Exception:
    """SciPy raises many types of error for a damaged file; a missing one stays what it is."""
    if isinstance(error, FileNotFoundError):
        return error
    return ValueError(f"{str(path)!r} has no masks that can be read ({error}); get the file anew")


__all__ = ["load_jhmdb_sentences", "read_puppet_mask", "save_samples"]
