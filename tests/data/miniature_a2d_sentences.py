# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""A small A2D-Sentences in the official layout, with the oddities of the real one."""

import csv
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
from miniature_shapes import DrawnVideo, draw_video

# Video: subset, frames, width, height, annotated frames from 1, instances; the first row must survive a reader that
# takes it for a header.
VIDEOS: dict[str, tuple[int, int, int, int, list[int], list[int]]] = {
    "-A0first_row": (0, 9, 57, 32, [1, 5, 9], [1, 2]),
    "b1Short": (1, 5, 57, 32, [1, 3, 5], [0]),
    "c2Zero": (0, 16, 48, 27, [1, 8, 16], [0, 10]),
    "d3Single": (1, 24, 57, 32, [12], [0, 2]),
    "e4Copied": (0, 30, 32, 57, [1, 15, 30], [1]),
}
ABSENT = ("c2Zero", 8, 10)  # an instance that lacks in an annotated frame
MISSED = "f5Missed"
EXPRESSIONS = [
    ("-A0first_row", "1", "the first shape"),
    ("-A0first_row", "2", "A Shape, which is NOT the first"),
    ("b1Short", "0", " a shape in a short video "),
    ("c2Zero", "0", "the shape with the number zero"),
    ("c2Zero", "10", "a shape that is away for a while"),
    ("d3Single", "0", "the shape behind"),
    ("d3Single", "2", "the shape in front"),
    ("d3Single", "7", "a shape that no frame shows"),
    ("e4Copied", "1", "the only shape"),
    ("e4Copied", "1 (copy)", "the only shape once more"),
    (MISSED, "0", "a shape in a video that is left out"),
]
# Image ids of the rows in their order.
ROWS = {
    "train": [
        *(f"v_-A0first_row_f_{frame}_i_{instance}" for instance in (1, 2) for frame in (1, 5, 9)),
        *(f"v_c2Zero_f_{frame}_i_0" for frame in (1, 8, 16)),
        *(f"v_c2Zero_f_{frame}_i_10" for frame in (1, 16)),
        *(f"v_e4Copied_f_{frame}_i_1" for frame in (1, 15, 30)),
    ],
    "test": [*(f"v_b1Short_f_{frame}_i_0" for frame in (1, 3, 5)), "v_d3Single_f_12_i_0", "v_d3Single_f_12_i_2"],
}


def make_a2d_sentences(root: Path, *, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """
    Write the data set.

    Returns:
        frames (frames, height, width, 3) uint8 of each video, and mask (height, width) bool of each image id.
    """
    release, texts = root / "Release", root / "text_annotations"
    for folder in (release / "clips320H", texts):
        folder.mkdir(parents=True, exist_ok=True)
    frames, masks = {}, {}
    rows: list[list[Any]] = []
    for index, (video, (subset, num_frames, width, height, annotated, instances)) in enumerate(VIDEOS.items()):
        drawn = draw_video(seed + index, num_frames, width, height, len(instances))
        _write_video(release / "clips320H" / f"{video}.mp4", drawn.frames)
        frames[video] = drawn.frames
        for frame in annotated:
            path = texts / "a2d_annotation_with_instances" / video / f"{frame:05d}.h5"
            masks |= _write_masks(path, drawn, frame, video, instances)
        # Size and length of what the clip was cut from, which differ from those of the clip.
        rows.append([video, 13, 0, 3.5, 2 * height, 2 * width, num_frames + 1, len(annotated), subset])
    rows.append([MISSED, 35, 0, 2, 64, 114, 10, 3, 1])
    _write_csv(release / "videoset.csv", rows)
    _write_csv(texts / "a2d_annotation.txt", [("video_id", "instance_id", "query"), *EXPRESSIONS])
    (texts / "a2d_missed_videos.txt").write_text(f"{MISSED}\nnever_seen")
    return frames, masks


def _write_video(path: Path, frames: np.ndarray) -> None:
    """An H.264 file, pixels true to a level of 2, with two of three frames coded from earlier and later ones."""
    options = {"qp": "1", "x264-params": "bframes=2:b-adapt=0:scenecut=0:keyint=12:threads=1"}
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264rgb", rate=25, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _write_masks(path: Path, drawn: DrawnVideo, frame: int, video: str, instances: list[int]) -> dict[str, np.ndarray]:
    """The file of an annotated frame, with the axes of MATLAB; one instance has no leading axis."""
    shown = {
        instance: drawn.labels[frame - 1] == place
        for place, instance in enumerate(instances, 1)
        if (video, frame, instance) != ABSENT
    }
    boxes = [
        [columns.min(), rows.min(), columns.max(), rows.max()] for rows, columns in map(np.nonzero, shown.values())
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["instance"] = np.array(list(shown), np.int64)
        file["reMask"] = np.stack([mask.T for mask in shown.values()]).astype(np.uint8).squeeze()
        file["reBBox"] = np.array(boxes, np.float64).T.squeeze()
    return {f"v_{video}_f_{frame}_i_{instance}": mask for instance, mask in shown.items()}


def _write_csv(path: Path, rows: list[Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
