# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Many visitors of the Space at once: what they wait for, whether each gets its own answer, and the memory it takes.

    python benchmarks/space_load.py --seconds 300 --clients 20 --json load.json --plot memory.png

Starts the Space with the bundled model as a process of its own on loopback. Each visitor has a clip of its own width.
Over and over it loads the page, uploads the clip, joins the queue with two sentences, of which one holds a number that
nobody else has, and downloads the answer, which must be about that clip and those sentences. It comes again at once;
when the queue is full, after some seconds. A request that is neither answered rightly nor refused is lost. Ends with 1
where one was lost, a file is left or the Space did not end well.
"""

import argparse
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import torch
from matrix_peak import matrix_peak
from speed import machine

from transformers_soc.data.moving_shapes import render_clip
from transformers_soc.video_io import replacing, write_video

APP = Path(__file__).parents[1] / "spaces_demo" / "app.py"
START_SECONDS, STOP_SECONDS = 600, 120  # generous: the machine may be busy
LONGEST_SILENCE = 300.0  # seconds after which a visitor gives up; the Space gives a sign every 15 seconds
FRAMES, HEIGHT, FPS = 16, 96, 6
BACK_AFTER = (2.0, 5.0)  # seconds after a refusal
STEPS = {
    "page": "loading the page",
    "upload": "uploading the clip",
    "waiting": "waiting in the queue",
    "job": "the job itself",
    "download": "downloading overlay and masks",
    "all": "from the page to the answer",
}


class RunningSpace:
    """A Space in a process of its own, whose memory is noted.

    Attributes:
        samples: (seconds since the start, bytes of the process, bytes of its children), every `interval` seconds.
    """

    def __init__(self, folder: Path, app: Path = APP, interval: float = 1.0, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.log = folder / "space.log"
        self.interval = interval
        self.samples: list[tuple[float, int, int]] = []
        places = {"TMPDIR": str(folder), "GRADIO_SERVER_PORT": str(self.port), "GRADIO_SERVER_NAME": "127.0.0.1"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(app)],
                env={**os.environ, "HF_HUB_OFFLINE": "1", **environment, **places},
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        start = time.monotonic()
        while self.process.poll() is None:
            try:
                process = psutil.Process(self.process.pid)
                own, others = process.memory_info().rss, 0
                for child in process.children(recursive=True):
                    if child.cmdline() != process.cmdline():  # not one that is about to start its program
                        others += child.memory_info().rss
                self.samples.append((time.monotonic() - start, own, others))
            except psutil.NoSuchProcess:  # a child that just ended
                pass
            time.sleep(self.interval)

    @property
    def peak(self) -> int:
        """The most bytes that the process and its children were seen to hold together."""
        return max(own + others for _, own, others in self.samples)

    def wait(self) -> None:
        """Return when the page is served.

        Raises:
            RuntimeError: it ended, or did not start in time.
        """
        for _ in range(2 * START_SECONDS):
            if self.process.poll() is not None:
                break
            try:
                httpx.get(self.url, timeout=10).raise_for_status()
                return
            except httpx.HTTPError:
                time.sleep(0.5)
        raise RuntimeError(f"the Space did not start: {self.log.read_text()[-2000:]}")

    def stop(self) -> int:
        """End it as a host does, and return its exit code."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)


@dataclass
class Diary:
    """What visitors saw.

    Attributes:
        seconds: the durations of each step.
        outcomes: how many requests were "done", "refused" or "lost".
        messages: of refusals and of what was lost.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})
    outcomes: Counter[str] = field(default_factory=lambda: Counter(done=0, refused=0, lost=0))
    messages: Counter[str] = field(default_factory=Counter)

    def note(self, step: str, start: float) -> None:
        self.seconds[step].append(time.perf_counter() - start)

    def add(self, other: "Diary") -> None:
        for step, seconds in other.seconds.items():
            self.seconds[step] += seconds
        self.outcomes.update(other.outcomes)
        self.messages.update(other.messages)


class Refused(Exception):
    """The Space has too much to do, and said so."""


class Visitor:
    """Somebody with a clip of a width that no other has, who asks about it over and over."""

    def __init__(self, url: str, number: int, folder: Path) -> None:
        self.web = httpx.Client(base_url=url, timeout=LONGEST_SILENCE)
        self.width = HEIGHT + 2 * number
        self.clip = folder / f"visitor-{number}.mp4"
        clip = render_clip("test", number, num_frames=FRAMES, height=HEIGHT, width=self.width, num_expressions=1)
        self.expression = clip.expressions[0].text
        write_video(self.clip, clip.frames, FPS)
        self.function = segment_index(self.web)
        self.diary = Diary()

    def stay(self, until: float) -> None:
        """Ask until the clock `time.monotonic` has passed a time, and wait for the last answer."""
        with closing(self.web):
            while time.monotonic() < until:
                start = time.perf_counter()
                try:
                    self.ask_once()
                    self.diary.note("all", start)
                    self.diary.outcomes["done"] += 1
                except Refused as message:
                    self.diary.outcomes["refused"] += 1
                    self.diary.messages[str(message)] += 1
                    time.sleep(random.uniform(*BACK_AFTER))
                except Exception as error:
                    self.diary.outcomes["lost"] += 1
                    self.diary.messages[f"{type(error).__name__}: {error}"] += 1

    def ask_once(self) -> None:
        start = time.perf_counter()
        self.get("/")
        self.diary.note("page", start)
        start = time.perf_counter()
        with self.clip.open("rb") as file:
            answer = self.web.post("/gradio_api/upload", files={"files": (self.clip.name, file)})
        (path,) = answer.raise_for_status().json()
        self.diary.note("upload", start)
        sentences = [self.expression, f"number {secrets.token_hex(8)}"]
        overlay, _, _, _, masks = self.wait_for_answer(path, sentences)
        start = time.perf_counter()
        self.get(f"/gradio_api/file={overlay['path']}")
        self.check(self.get(f"/gradio_api/file={masks['path']}").json(), sentences)
        self.diary.note("download", start)

    def get(self, path: str) -> httpx.Response:
        return self.web.get(path).raise_for_status()

    def wait_for_answer(self, path: str, sentences: list[str]) -> list[Any]:
        """Join the queue under a name of its own, as a new page would; returns the outputs of the endpoint."""
        session = secrets.token_hex(8)
        video = {"path": path, "meta": {"_type": "gradio.FileData"}}
        data = [video, "\n".join(sentences), FPS, 0.3, "soc-plus-micro"]
        body = {"data": data, "fn_index": self.function, "session_hash": session}
        start = time.perf_counter()
        joined = self.web.post("/gradio_api/queue/join", json=body)
        if joined.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise Refused(joined.json()["detail"])
        joined.raise_for_status()
        with self.web.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as events:
            for message in map(json.loads, (line[len("data: ") :] for line in events.iter_lines() if line)):
                if message["msg"] == "process_starts":
                    self.diary.note("waiting", start)
                    start = time.perf_counter()
                elif message["msg"] == "process_completed":
                    self.diary.note("job", start)
                    if not message["success"]:
                        raise ValueError(message["output"]["error"])
                    return message["output"]["data"]
        raise ValueError("the events ended without an answer")

    def check(self, content: dict[str, Any], sentences: list[str]) -> None:
        """Whether an answer is about this visitor's clip and sentences."""
        found = [item["expression"] for item in content["expressions"]]
        sizes = {tuple(mask["size"]) for item in content["expressions"] for mask in item["masks"]}
        frames = len(content["frame_indices"])
        if found != sentences or sizes != {(HEIGHT, self.width)} or frames != FRAMES:
            raise ValueError(f"the answer to another request: {found}, {sizes}, {frames} frames")


def segment_index(web: httpx.Client) -> int:
    """The number of the endpoint among the functions of the page."""
    functions = web.get("/config").raise_for_status().json()["dependencies"]
    return next(item["id"] for item in functions if item["api_name"] == "segment")


def visit(visitors: Sequence[Visitor], seconds: float) -> Diary:
    """Let visitors come all at once, for so many seconds."""
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=visitor.stay, args=(until,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    diary = Diary()
    for visitor in visitors:
        diary.add(visitor.diary)
    return diary


def table(diary: Diary) -> str:
    """The durations of each step in Markdown."""
    rows = ["| seconds | times | median | 90 % | 99 % | longest |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for step, name in STEPS.items():
        seconds = diary.seconds[step] or [0.0]
        figures = " | ".join(f"{value:.2f}" for value in np.percentile(seconds, [50, 90, 99, 100]))
        rows.append(f"| {name} | {len(diary.seconds[step])} | {figures} |")
    return "\n".join(rows)


def growth(samples: list[tuple[float, int, int]]) -> float:
    """MB per minute by which the process itself grew in the second half of the samples, by a straight line."""
    half = samples[len(samples) // 2 :]
    return float(np.polyfit([time / 60 for time, _, _ in half], [own / 1e6 for _, own, _ in half], 1)[0])


def draw(samples: list[tuple[float, int, int]], path: Path) -> None:
    """Write the curves of memory over time as PNG."""
    from matplotlib.figure import Figure

    times, own, others = zip(*samples, strict=True)
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(times, np.divide(own, 1e6), label="the Space")
    axes.plot(times, np.divide(others, 1e6), label="its decoder")
    axes.set(xlabel="seconds since the first visitor", ylabel="memory (MB)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--max_waiting", type=int, default=20, help="jobs in the queue, as the operator may set it")
    parser.add_argument("--threads", type=int, default=2, help="of the model")
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="write all figures")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw memory over time")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        limits = {"SOC_SPACE_MAX_WAITING": str(args.max_waiting), "OMP_NUM_THREADS": str(args.threads)}
        space = RunningSpace(folder, **limits)
        try:
            space.wait()
            visitors = [Visitor(space.url, number, folder) for number in range(args.clients)]
            peak, first = matrix_peak(), len(space.samples)
            diary = visit(visitors, args.seconds)
            last = len(space.samples)
        finally:
            code = space.stop()
        left = sorted(str(path.relative_to(folder)) for path in folder.glob("soc-space-*/**/*"))
    begin = space.samples[first][0]
    samples = [(time - begin, own, others) for time, own, others in space.samples[first:last]]
    report(args, diary, samples, {"exit_code": code, "files_left": left, "matrix_peak": peak})
    sys.exit(bool(diary.outcomes["lost"] or left or code))


def report(args: argparse.Namespace, diary: Diary, samples: list[tuple[float, int, int]], ended: dict) -> None:
    """Print the figures, and write and draw them where asked."""
    memory = {
        "first": samples[0][1] / 1e6,
        "last": samples[-1][1] / 1e6,
        "peak": max(own for _, own, _ in samples) / 1e6,
        "peak_with_decoder": max(own + others for _, own, others in samples) / 1e6,
        "growth_per_minute": growth(samples),
    }
    if args.json:
        content = {"machine": machine("cpu"), "outcomes": diary.outcomes, "seconds": diary.seconds, "memory": memory}
        content |= {"messages": diary.messages, "samples": samples, **ended}
        args.json.write_text(json.dumps(content, indent=2) + "\n")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in diary.outcomes.items())
    print(f"{args.clients} visitors for {args.seconds:.0f} s on {machine('cpu')}")
    print(f"matrix peak before: {ended['matrix_peak']:.0f} GFLOP/s\nrequests: {counts}\n\n{table(diary)}\n")
    print("memory in MB: " + ", ".join(f"{name} {value:.1f}" for name, value in memory.items()))
    print(f"exit code {ended['exit_code']}, files left: {len(ended['files_left'])}")
    for message, count in diary.messages.most_common(10):
        print(f"{count} x {message}")
    if args.plot:
        draw(samples, args.plot)


if __name__ == "__main__":
    main()
