# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""One job: from an upload and sentences to an overlay, a table of scores and files of masks."""

import html
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import segmenters
from decoding import Clip, decode
from settings import Refusal, Settings
from storage import Storage

from transformers_soc.cli.segment import DEFAULT_FPS, folder_name, frame_rate, write_rle
from transformers_soc.video_io import write_mask_pngs, write_video
from transformers_soc.visualization import expression_colors, iter_overlays

Progress = Callable[[float, str], Any]


class Answer(NamedTuple):
    """What the page shows of a job, in the order of its outputs.

    Attributes:
        overlay, png_zip, rle_json: files that are served.
        summary: HTML with the sentences, their colours and scores, and the time taken.
        scores: a row per sentence and frame, with the columns "time", "score" and "sentence".
    """

    overlay: Path
    summary: str
    scores: pd.DataFrame
    png_zip: Path
    rle_json: Path


def run_job(
    video: str | None,
    text: str | None,
    fps: float,
    threshold: float,
    model: str,
    *,
    settings: Settings,
    storage: Storage,
    progress: Progress,
) -> Answer:
    """Answer the sentences, one in each line of `text`, about a video file.

    Raises:
        Refusal: something that is missing, out of range, or no video.
        ValueError: too little memory.
    """
    if not video:
        raise Refusal("There is no video: upload a clip or choose an example.")
    sentences = split_sentences(text, settings)
    check_choices(fps, threshold, model, settings)
    segmenters.check_sentences(model, sentences)
    started = time.perf_counter()
    with storage.new_work_folder() as name:
        folder = Path(name)
        progress(0.05, "Decoding the video")
        clip = decode(Path(video), fps, settings, folder)
        decoded = time.perf_counter()
        progress(0.3, f"Looking at {len(clip.frames)} frames")
        results = segmenters.answer(model, clip.frames, sentences, threshold)
        answered = time.perf_counter()
        progress(0.8, "Writing the overlay and the masks")
        overlay, png_zip, rle_json = storage.publish(*write_files(folder, clip, results))
    times = {"decoding": decoded - started, "model": answered - decoded, "files": time.perf_counter() - answered}
    return Answer(overlay, summarize(clip, results, times), score_table(clip, results), png_zip, rle_json)


def split_sentences(text: str | None, settings: Settings) -> list[str]:
    """The lines of a text that are not blank, as many and as long as allowed."""
    sentences = [line.strip() for line in (text or "").splitlines() if line.strip()]
    if not sentences:
        raise Refusal("There is no sentence: write what to look for, one sentence in each line.")
    if len(sentences) > settings.max_sentences:
        raise Refusal(f"{len(sentences)} sentences are too many: ask at most {settings.max_sentences} at a time.")
    if max(map(len, sentences)) > settings.max_letters:
        raise Refusal(f"A sentence has more than {settings.max_letters} letters: write a shorter one.")
    return sentences


def check_choices(fps: float, threshold: float, model: str, settings: Settings) -> None:
    """Refuse what the page would not let a visitor choose; requests need not come from the page."""
    if not isinstance(fps, (int, float)) or not 0 < fps <= settings.max_fps:
        raise Refusal(f"The frame rate must lie between 0 and {settings.max_fps}.")
    if not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
        raise Refusal("The score threshold must lie between 0 and 1.")
    if model not in settings.models:
        raise Refusal("There is no such model here: choose one of the list.")


def write_files(folder: Path, clip: Clip, results: Sequence[dict[str, Any]]) -> tuple[Path, Path, Path]:
    """Write the overlay video, the mask images and the run-length codes; returns their paths."""
    overlay, png_zip, rle_json = (folder / name for name in ("overlay.mp4", "masks.zip", "masks.json"))
    rate = frame_rate(clip.timestamps, None)
    places = {"frame_indices": clip.frame_indices, "timestamps": clip.timestamps}
    write_rle(rle_json, [{**result, **places} for result in results], rate)
    # PNG files are compressed already.
    with zipfile.ZipFile(png_zip, "w", zipfile.ZIP_STORED) as archive:
        for index, result in enumerate(results):
            name = folder_name(index, result["expression"])
            for path in write_mask_pngs(folder / name, result["masks"]):
                archive.write(path, f"{name}/{path.name}")
    write_video(overlay, iter_overlays(clip.frames, [result["masks"] for result in results]), rate)
    return overlay, png_zip, rle_json


def score_table(clip: Clip, results: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The scores of each sentence over time, in seconds."""
    times = clip.timestamps or [index / DEFAULT_FPS for index in range(len(clip.frames))]
    rows = [
        {"time": float(time), "score": float(score), "sentence": str(index + 1)}
        for index, result in enumerate(results)
        for time, score in zip(times, result["frame_scores"], strict=True)
    ]
    return pd.DataFrame(rows)


def sentence_colors(count: int) -> dict[str, str]:
    """The colour of the overlay for each of the sentences "1", "2" and so on, as "#rrggbb"."""
    colors = expression_colors(count)
    return {str(index + 1): "#{:02x}{:02x}{:02x}".format(*color) for index, color in enumerate(colors)}


def summarize(clip: Clip, results: Sequence[dict[str, Any]], times: dict[str, float]) -> str:
    """HTML: a line for each sentence with its colour, score and number of frames, and the time taken."""
    rows = []
    for result, (number, color) in zip(results, sentence_colors(len(results)).items(), strict=True):
        seen = int(result["masks"].any(axis=(1, 2)).sum())
        found = "no target" if result["no_target"] else f"in {seen} of {len(clip.frames)} frames"
        rows.append(
            f'<li><span class="swatch" style="background: {color}">{number}</span>'
            f'<bdi class="sentence">{html.escape(result["expression"])}</bdi>'
            f'<span class="found">score {result["score"]:.2f}, {found}</span></li>'
        )
    height, width = clip.frames.shape[1:3]
    taken = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in clip.notes)
    return (
        f'<ol class="sentences">{"".join(rows)}</ol>{notes}'
        f'<p class="taken">{len(clip.frames)} frames of {width} x {height} pixels in {sum(times.values()):.1f} s: '
        f"{taken}.</p>"
    )
