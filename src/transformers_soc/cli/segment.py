# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`transformers-soc segment`: a video and sentences in, an overlay video and masks out."""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import Pipeline, pipeline
from transformers.utils import logging

from .. import TASK, bundled_checkpoint
from ..video_io import masks_to_rle, read_video, replacing, write_mask_pngs, write_video
from ..visualization import iter_overlays

# Frames per second of the overlay where the frames have no times, as in a folder of images.
DEFAULT_FPS = 24.0


def run(options: argparse.Namespace) -> None:
    """Segment one video.

    Raises:
        OSError: an output exists or cannot be written, or the video or the model cannot be read.
        ValueError: a video or sentence that cannot be processed, or a device that cannot be used.
    """
    output = Path(options.output)
    masks_dir = Path(options.masks_dir) if options.masks_dir else None
    rle = Path(options.rle) if options.rle else None
    if output.suffix.lower() != ".mp4":
        raise ValueError(f"The overlay is an mp4 video: give --output a name that ends in .mp4, not {options.output}.")
    check_outputs([path for path in (output, rle, masks_dir) if path is not None], options.overwrite)
    if options.no_progress:
        logging.disable_progress_bar()
    segmenter = load_pipeline(
        options.model or bundled_checkpoint(), device=usable_device(options.device), dtype=options.dtype
    )
    given = {"num_frames": options.num_frames, "fps": options.fps, "stride": options.stride}
    results = segment_to_files(
        segmenter,
        options.video,
        options.sentences,
        output,
        sampling={name: value for name, value in given.items() if value is not None},
        threshold=options.threshold,
        masks_dir=masks_dir,
        rle=rle,
        progress=not options.no_progress,
    )
    for result in results:
        print(describe(result))
    for path in (output, rle, masks_dir):
        if path is not None:
            print(f"written: {path}")


def load_pipeline(model: str | Path, **arguments: Any) -> Pipeline:
    """Return the pipeline for a checkpoint; `arguments` as those of `transformers.pipeline`."""
    task: Any = TASK  # the annotations of `pipeline` know the library's own tasks only
    return pipeline(task, model=str(model), **arguments)


def segment_to_files(
    segmenter: Pipeline,
    video: str,
    sentences: Sequence[str],
    output: Path,
    *,
    sampling: dict[str, Any] | None = None,
    threshold: float | None = None,
    masks_dir: Path | None = None,
    rle: Path | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Segment a video file or folder of frames and write the overlay, and if asked for mask images and codes.

    Args:
        segmenter: the pipeline `referring-video-segmentation`.
        video: path of a video file or of a folder of frames.
        sentences: what to look for, one colour each.
        output: mp4 file of the overlay, at the rate of the sampled frames.
        sampling: at most one of `num_frames`, `fps` and `stride`.
        threshold: score below which a sentence has no target; None: the value saved with the model.
        masks_dir: folder for PNG masks, a folder per sentence.
        rle: JSON file for COCO run-length codes.
        progress: show a bar over the sentences, and one while the overlay is written.

    Returns:
        The results of the pipeline, one dict per sentence.
    """
    sampling = sampling or {}
    arguments = {**sampling} if threshold is None else {**sampling, "threshold": threshold}
    results = segmenter(video, list(sentences), progress=progress, **arguments)
    # Read again: the pipeline keeps no frames, so the video is in memory once at any time.
    frames, info = read_video(video, **sampling)
    taken = results[0]["frame_indices"]
    if taken is not None and len(taken) != len(frames):
        frames = frames[[index in set(taken) for index in info.frames_indices]]
    rate = frame_rate(results[0]["timestamps"], info.fps)
    if rle is not None:
        write_rle(rle, results, rate)
    if masks_dir is not None:
        for index, result in enumerate(results):
            write_mask_pngs(masks_dir / folder_name(index, result["expression"]), result["masks"])
    overlays = iter_overlays(frames, [result["masks"] for result in results], [describe(result) for result in results])
    write_video(output, tqdm(overlays, "overlay", len(frames), unit="frame", disable=not progress), rate)
    return results


def check_outputs(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuse outputs that cannot be written, before the long work starts."""
    for path in paths:
        if not path.parent.is_dir():
            raise FileNotFoundError(
                f"The folder {path.parent} of the output {path.name} does not exist; make it first."
            )
        filled = any(path.iterdir()) if path.is_dir() else path.exists()
        if filled and not overwrite:
            raise FileExistsError(f"The output {path} exists; give another name or --overwrite.")


def usable_device(name: str | None) -> str | None:
    """Return the name of a device after a check that it works; None leaves the choice to the pipeline."""
    if name is not None:
        try:
            torch.empty(1, device=name)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"The device {name!r} cannot be used here ({reason}); try --device cpu.") from error
    return name


def frame_rate(timestamps: Sequence[float] | None, fps: float | None) -> float:
    """Mean rate of sampled frames in frames per second; `fps` is the rate of the video, where it is known."""
    if timestamps is not None and len(timestamps) > 1 and timestamps[-1] > timestamps[0]:
        return (len(timestamps) - 1) / (timestamps[-1] - timestamps[0])
    return fps or DEFAULT_FPS


def describe(result: dict[str, Any]) -> str:
    """One line for a result: its score and sentence, and whether there is no target."""
    return f"{result['score']:.2f} {result['expression']}" + (" (no target)" if result["no_target"] else "")


def folder_name(index: int, sentence: str) -> str:
    """Name of the folder for the masks of a sentence: its place, and its letters as far as file systems take them."""
    words = re.sub(r"[^a-z0-9]+", "-", sentence.lower()).strip("-")[:40]
    return f"{index:02d}-{words}".rstrip("-")


def write_rle(path: Path, results: list[dict[str, Any]], rate: float) -> None:
    """Write all results as JSON: masks as COCO run-length codes, boxes as x1, y1, x2, y2 in pixels."""
    content = {
        "frames_per_second": rate,
        "frame_indices": results[0]["frame_indices"],
        "timestamps": results[0]["timestamps"],
        "expressions": [
            {
                "expression": result["expression"],
                "score": float(result["score"]),
                "no_target": bool(result["no_target"]),
                "frame_scores": [float(score) for score in result["frame_scores"]],
                "boxes": [[float(side) for side in box] for box in result["boxes"]],
                "masks": masks_to_rle(result["masks"]),
            }
            for result in results
        ],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
