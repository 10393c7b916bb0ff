# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The Space: a page that finds in a video clip what sentences talk about."""

import contextlib
import ctypes
import html
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Read by Gradio when it is imported: nothing is reported. And when a queue is made: it keeps notes of each job for a
# monitor that this page does not have, and goes through all of them after each job.
os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_ANALYTICS_MAX_EVENTS": "1"}

import example_clips
import gradio as gr
import segmenters
from decoding import sentence
from jobs import Answer, run_job, sentence_colors
from protection import Guard, uploads_only
from settings import MEGABYTE, Settings, read_settings
from starlette.middleware import Middleware
from storage import Storage

TITLE = "Referring video object segmentation"
CSS = Path(__file__).with_name("style.css")
SESSIONS = 200  # whose last answers Gradio keeps in memory
PROGRESS = gr.Progress()  # Gradio finds it among the defaults and gives each job its own
FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}


def introduction(settings: Settings) -> str:
    """What the page is for, and its limits, in Markdown."""
    return (
        f"# {TITLE}\n\nSay which object you mean, and get its mask in every frame. "
        "The bundled model *soc-plus-micro* knows moving coloured shapes and nothing else.\n\n"
        f"**Limits:** {settings.max_seconds} seconds, {settings.max_megabytes} MB and "
        f"{settings.max_pixels / 1e6:.0f} megapixels a frame; {settings.max_frames} frames and "
        f"{settings.max_sentences} sentences at a time. Frames are scaled to at most {settings.max_side} pixels. "
        f"Uploads and answers are deleted after {settings.keep_seconds // 60} minutes."
    )


def build(settings: Settings, storage: Storage) -> gr.Blocks:
    """The page and its one public endpoint, `/segment`."""
    names = list(settings.models)
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.Markdown(introduction(settings))
        with gr.Row():
            with gr.Column():
                video = gr.Video(label="Video", sources=["upload", "webcam"], elem_id="video")
                sentences = gr.Textbox(
                    label="Sentences, one in each line",
                    placeholder="the red circle moving to the left",
                    lines=3,
                    max_lines=settings.max_sentences,
                    elem_id="sentences",
                )
                rows = example_clips.write_examples(storage.examples)
                chosen = gr.Dataset(
                    components=[gr.Video(render=False)],
                    samples=[[path] for path, _ in rows],
                    type="index",
                    label="Examples",
                    elem_id="examples",
                )
                with gr.Accordion("Settings", open=False):
                    fps = gr.Slider(
                        1,
                        settings.max_fps,
                        6,
                        step=1,
                        label="Frame rate",
                        info="Frames per second that the model sees.",
                    )
                    threshold = gr.Slider(
                        0,
                        1,
                        segmenters.saved_threshold(names[0]),
                        step=0.01,
                        label="Score threshold",
                        info="A sentence with a lower score gets no masks.",
                    )
                    model = gr.Dropdown(names, value=names[0], label="Model")
                run = gr.Button("Segment", variant="primary", elem_id="run")
            with gr.Column():
                overlay = gr.Video(
                    label="Overlay",
                    autoplay=True,
                    loop=True,
                    buttons=["download"],
                    interactive=False,
                    elem_id="overlay",
                )
                summary = gr.HTML(label="Summary", elem_id="summary")
                plot = gr.LinePlot(
                    x="time",
                    y="score",
                    color="sentence",
                    x_title="seconds",
                    y_title="score",
                    color_map=sentence_colors(settings.max_sentences),
                    colors_in_legend=[],
                    y_lim=[0, 1],
                    height=300,
                    label="Score of each frame (time in seconds)",
                    elem_id="plot",
                )
                with gr.Row():
                    png_zip = gr.DownloadButton("Masks (PNG, zip)", interactive=False, elem_id="png-zip")
                    rle_json = gr.DownloadButton("Masks (COCO RLE, JSON)", interactive=False, elem_id="rle-json")
        chosen.click(rows.__getitem__, chosen, [video, sentences], queue=False, api_visibility="private")
        model.change(segmenters.saved_threshold, model, threshold, queue=False, api_visibility="private")

        done = run.click(
            make_handler(settings, storage),
            [video, sentences, fps, threshold, model],
            [overlay, summary, plot, png_zip, rle_json],
            api_name="segment",
            concurrency_limit=1,
            show_progress_on=[overlay],
        )
        done.success(enable_downloads, None, [png_zip, rle_json], queue=False, api_visibility="private")
    uploads_only(page)
    return page


def make_handler(settings: Settings, storage: Storage) -> Callable[..., Answer]:
    """The function behind the button and the endpoint: a job, with every failure as one sentence."""
    # Gradio begins the next job when a visitor cancels one, though that still runs.
    alone = threading.Lock()

    def segment(
        video: str | None, sentences: str, fps: float, threshold: float, model: str, progress: Any = PROGRESS
    ) -> Answer:
        """Find what the sentences, one in each line, talk about in the video."""
        try:
            with alone:
                return run_job(
                    video, sentences, fps, threshold, model, settings=settings, storage=storage, progress=progress
                )
        except ValueError as refusal:
            raise polite_error(sentence(str(refusal))) from None
        except BaseException:  # SystemExit would end the server
            traceback.print_exc()
            raise polite_error("The program failed on this clip: try another clip or fewer frames.") from None
        finally:
            give_memory_back()

    return segment


def give_memory_back() -> None:
    """Return to the system what a job no longer needs; glibc keeps much of it, for each thread apart."""
    with contextlib.suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def enable_downloads() -> list[gr.DownloadButton]:
    """Make both download buttons usable, with the files that they have; an update of its own keeps the API plain."""
    return [gr.DownloadButton(interactive=True), gr.DownloadButton(interactive=True)]


def polite_error(message: str) -> gr.Error:
    """An error that the page shows as text until it is closed; Gradio would render HTML in it."""
    return gr.Error(html.escape(message), duration=None, print_exception=False)


def main() -> None:
    """Load the models and serve the page until the process is stopped."""
    settings = read_settings()
    segmenters.load_models(settings.models)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    storage = Storage(settings.keep_seconds, MEGABYTE * settings.max_stored_megabytes)
    gr.set_static_paths([storage.examples])
    storage.start_sweeping()
    page = build(settings, storage)
    page.queue(max_size=settings.max_waiting, api_open=False)
    try:
        page.launch(
            theme=gr.themes.Default(**FONTS),
            css_paths=CSS,
            max_file_size=MEGABYTE * settings.max_megabytes,
            app_kwargs={"middleware": [Middleware(Guard, max_upload=MEGABYTE * settings.max_megabytes)]},
            footer_links=["api"],
            ssr_mode=False,
            run_history=False,
            enable_monitoring=False,
            state_session_capacity=SESSIONS,
        )
    finally:
        page.close(verbose=False)
        storage.remove()


if __name__ == "__main__":
    main()
