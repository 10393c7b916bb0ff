# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""`transformers-soc segment`: a video and sentences in, an overlay video and masks out."""

import argparse
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tqdm import tqdm
from transformers import pipeline
from transformers.utils import logging

from .. import TASK, ReferringVideoSegmentationPipeline, bundled_checkpoint
from ..outputs import beside, check_writable
from ..session import SocVideoSession
from ..video_io import iter_video, results_to_json, rle_to_masks, write_mask_pngs, write_video
from ..visualization import overlay_masks

# Frames per second of the overlay where the frames have no times, as in a folder of images.
DEFAULT_FPS = 24.0


def run(options: argparse.Namespace) -> None:
    """Segment one video.

    Raises:
        OSError: an output exists or cannot be written, or the video or the model cannot be read.
        ValueError: a video or sentence that cannot be processed, or a device that cannot be used.
    """
    if options.mode == "exact" and (options.clip_frames, options.overlap) != (None, None):
        raise ValueError("--clip-frames and --overlap belong to --mode clip: give that, too.")
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
    results = segment_to_files(
        segmenter,
        options.video,
        options.sentences,
        output,
        sampling=_given(options, "num_frames", "fps", "stride"),
        threshold=options.threshold,
        masks_dir=masks_dir,
        rle=rle,
        progress=not options.no_progress,
        clips=_given(options, "mode", "clip_frames", "overlap"),
        mask_format="rle",
    )
    files = [str(path) for path in (output, rle, masks_dir) if path is not None]
    if options.json:
        names = ("score", "no_target")
        answers = [{"sentence": result["expression"], **{name: result[name] for name in names}} for result in results]
        print(json.dumps({"sentences": answers, "files": files}, indent=2))
        return
    for result in results:
        print(describe(result))
    for file in files:
        print(f"written: {file}")


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of the options that the user gave, or that have a default."""
    return {name: value for name, value in vars(options).items() if name in names and value is not None}


def load_pipeline(model: str | Path, **arguments: Any) -> ReferringVideoSegmentationPipeline:
    """Return the pipeline for a checkpoint; `arguments` as those of `transformers.pipeline`."""
    task: Any = TASK  # the annotations of `pipeline` know the library's own tasks only
    segmenter: Any = pipeline(task, model=str(model), **arguments)
    return segmenter


def segment_to_files(
    segmenter: ReferringVideoSegmentationPipeline,
    video: str,
    sentences: Sequence[str],
    output: Path,
    *,
    sampling: dict[str, Any] | None = None,
    threshold: float | None = None,
    masks_dir: Path | None = None,
    rle: Path | None = None,
    progress: bool = True,
    clips: dict[str, Any] | None = None,
    mask_format: Literal["rle", "numpy"] = "numpy",
) -> list[dict[str, Any]]:
    """Segment a video file or folder of frames and write the overlay, and if asked for mask images and codes.

    The video is decoded twice, and the overlay is written frame by frame: of the whole video only run-length codes
    are held, and in mode "exact" what the model needs. All files appear in the end, when all are written.

    Args:
        segmenter: the pipeline `referring-video-segmentation`.
        video: path of a video file or of a folder of frames.
        sentences: what to look for, one colour each.
        output: mp4 file of the overlay, at the rate of the sampled frames.
        sampling: at most one of `num_frames`, `fps` and `stride`.
        threshold: score below which a sentence has no target; None: the value saved with the model.
        masks_dir: folder for PNG masks, a folder per sentence.
        rle: JSON file for COCO run-length codes.
        progress: show a bar over the sentences or frames, and one while the overlay is written.
        clips: `mode`, `clip_frames` and `overlap` of `SocVideoSession`.
        mask_format: of the masks in the results, `format` of `SocVideoSession.results`.

    Returns:
        The results of the session, one dict per sentence.
    """
    sampling = sampling or {}
    session = SocVideoSession(segmenter.model, segmenter.processor, threshold=threshold, **(clips or {}))
    session.add_expressions(sentences)
    session.add_video(video, **sampling)
    results = session.results("rle", progress)
    wanted = set(results[0]["frame_indices"])
    info, frames = iter_video(video, **sampling)
    # Where the processor has a sampling rule of its own, it took only some of these.
    frames = (frame for index, frame in zip(info.frames_indices, frames, strict=False) if index in wanted)
    rate = frame_rate(results[0]["timestamps"], info.fps)
    with ExitStack() as appearing:
        if rle is not None:
            write_rle(appearing.enter_context(_appearing(rle)), results, rate)
        if masks_dir is not None:
            folder = appearing.enter_context(_filling(masks_dir))
            for index, result in enumerate(results):
                masks = (rle_to_masks([code])[0] for code in result["masks"])
                write_mask_pngs(folder / folder_name(index, result["expression"]), masks)
        painted = tqdm(_overlays(frames, session, results), "overlay", len(wanted), unit="frame", disable=not progress)
        write_video(appearing.enter_context(_appearing(output)), painted, rate)
    return results if mask_format == "rle" else session.results("numpy")


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A file to write; if the block succeeds, it appears at `path`. Unlike `replacing`, what killed runs left goes."""
    with beside(path) as temporary:
        yield temporary / path.name
        os.replace(temporary / path.name, path)


@contextmanager
def _filling(folder: Path) -> Iterator[Path]:
    """A folder to fill; if the block succeeds, its folders appear in `folder`, whole, in the place of old ones."""
    place = folder if folder.is_dir() else folder.parent  # it may be on a disk of its own
    with beside(folder, place) as temporary:
        new = temporary / "new"
        new.mkdir()
        yield new
        if not folder.exists():
            new.rename(folder)
            return
        for path in sorted(new.iterdir()):
            if (folder / path.name).exists():
                (folder / path.name).rename(temporary / path.name)
            path.rename(folder / path.name)


def _overlays(
    frames: Iterable[np.ndarray], session: SocVideoSession, results: Sequence[dict[str, Any]]
) -> Iterator[np.ndarray]:
    """The frames, one by one, with the masks of the session painted on them."""
    labels = [describe(result) for result in results]
    for frame, (_, masks) in zip(frames, session.masks(), strict=True):
        yield overlay_masks([frame], [mask[None] for mask in masks.values()], labels)[0]


def check_outputs(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuse outputs that cannot be written, before the long work starts."""
    for path in paths:
        if not path.parent.is_dir():
            raise FileNotFoundError(
                f"The folder {path.parent} of the output {path.name} does not exist; make it first."
            )
        # Hidden files are what a killed run leaves.
        filled = any(item.name[0] != "." for item in path.iterdir()) if path.is_dir() else path.exists()
        if filled and not overwrite:
            raise FileExistsError(f"The output {path} exists; give another name or --overwrite.")
        check_writable(path / "new" if path.is_dir() else path)


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
    """Write results as JSON, with masks as run-length codes."""
    path.write_text(json.dumps({"frames_per_second": rate, **results_to_json(results)}), encoding="utf-8")
