# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The running Space, and a browser that uses it as a visitor does."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from transformers_soc.video_io import write_video

FOLDER = Path(__file__).parents[2] / "spaces_demo"
BENCHMARKS = FOLDER.with_name("benchmarks")
STAND_IN = Path(__file__).with_name("stand_in.py")
ANSWER_SECONDS = 180  # generous: the machine may be busy
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1280,1000"
)
TOAST = "[data-testid=toast-text]"
PASTE = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
sys.path[:0] = [str(FOLDER), str(BENCHMARKS)]

from space_load import APP, RunningSpace, segment_index  # noqa: E402


class Page:
    """The page in a browser, by what a visitor does and sees."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def wait(self, condition, seconds: float = 60):
        """The first true value of `condition()`."""
        return WebDriverWait(self.driver, seconds, 0.1).until(lambda _: condition())

    def find(self, selector: str) -> list:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector: str, index: int = 0) -> None:
        self.wait(lambda: len(self.find(selector)) > index)
        self.driver.execute_script("arguments[0].click()", self.find(selector)[index])

    def open(self, width: int = 1280) -> "Page":
        self.resize(width)
        self.driver.get(self.url)
        self.wait(lambda: self.find("#run") and self.find("#examples .gallery-item"))
        return self

    def resize(self, width: int, height: int = 1000) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def choose_example(self, index: int) -> "Page":
        self.click("#examples .gallery-item", index)
        self.wait(lambda: self.find("#video video") and self.sentences())
        return self

    def upload(self, path: Path) -> "Page":
        """Upload a file, again if the page was not yet ready for it, until the page shows a video or a message."""

        def try_once() -> bool:
            for field in self.find("#video input[type=file]"):
                field.send_keys(str(path))
            stop = time.monotonic() + 5
            while time.monotonic() < stop and not (self.find("#video video") or self.messages()):
                time.sleep(0.1)
            return bool(self.find("#video video") or self.messages())

        self.wait(try_once)
        return self

    def sentences(self) -> str:
        return self.find("#sentences textarea")[0].get_attribute("value")

    def write(self, text: str) -> "Page":
        self.find("#sentences textarea")[0].clear()
        self.find("#sentences textarea")[0].send_keys(text)
        return self

    def paste(self, text: str) -> "Page":
        """Write what cannot be typed."""
        self.driver.execute_script(PASTE, self.find("#sentences textarea")[0], text)
        return self

    def run(self) -> "Page":
        self.click("#run")
        return self

    def answer(self) -> str:
        """The summary, when there is one."""
        self.wait(lambda: self.find("#overlay video") and self.find("#summary .taken"), ANSWER_SECONDS)
        return self.find("#summary")[0].text

    def messages(self) -> list[str]:
        """The errors that the page shows."""
        return [found.text for found in self.find(TOAST)]

    def shows_error(self, text: str) -> bool:
        """Wait until one of the messages on the page contains the text."""
        try:
            return self.wait(lambda: any(text in message for message in self.messages()), ANSWER_SECONDS)
        except TimeoutException:
            raise AssertionError(f"{text!r} is not among {self.messages()}") from None

    def screenshot(self, name: str) -> None:
        """Save a picture of the whole page to the folder that SOC_SPACE_SCREENSHOTS names, if it does."""
        if folder := os.environ.get("SOC_SPACE_SCREENSHOTS"):
            width, height = self.driver.execute_script(
                "return [window.innerWidth, document.documentElement.scrollHeight]"
            )
            self.resize(width, height)
            time.sleep(1)  # the plot is drawn anew
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))
            self.resize(width)


def until(condition: Callable[[], Any], seconds: float = ANSWER_SECONDS) -> Any:
    """The first true value of `condition()`."""
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        if found := condition():
            return found
        time.sleep(0.005)
    raise AssertionError("it did not happen")


class Web(httpx.Client):
    """A program that asks a Space without the page or Gradio's client."""

    def __init__(self, url: str) -> None:
        super().__init__(base_url=url, timeout=ANSWER_SECONDS)
        self.function = segment_index(self)

    def upload(self, path: Path) -> dict[str, Any]:
        """Upload a file; returns what stands for it in requests."""
        with path.open("rb") as file:
            answer = self.post("/gradio_api/upload", files={"files": (path.name, file)})
        return {"path": answer.raise_for_status().json()[0], "meta": {"_type": "gradio.FileData"}}

    def join(self, session: str, video: Any, text: Any = "the ring") -> httpx.Response:
        """Ask for a job; a session is any name."""
        data = [video, text, 6, 0.3, "soc-plus-micro"]
        # In ASCII, because a text may hold what has no UTF-8.
        content = json.dumps({"data": data, "fn_index": self.function, "session_hash": session})
        return self.post("/gradio_api/queue/join", content=content, headers={"content-type": "application/json"})

    def events(self, session: str) -> list[dict[str, Any]]:
        """What a session is told until its jobs are done."""
        with self.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as lines:
            return [json.loads(line.removeprefix("data: ")) for line in lines.iter_lines() if line]

    def ask(self, session: str, video: Any, text: Any = "the ring") -> dict[str, Any]:
        """Ask for a job, and wait for what comes out of it."""
        self.join(session, video, text).raise_for_status()
        return next(event["output"] for event in self.events(session) if event["msg"] == "process_completed")


@contextmanager
def serving(folder: Path, waiting: int, app: Path = APP) -> Iterator[RunningSpace]:
    """A Space with small uploads and so many places in its queue."""
    limits = {"SOC_SPACE_MAX_WAITING": str(waiting), "SOC_SPACE_MAX_MEGABYTES": "2"}
    running = RunningSpace(folder, app, interval=0.02, **limits)
    running.wait()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSpace]:
    """The Space, with a small queue."""
    with serving(tmp_path_factory.mktemp("space"), 3) as running:
        yield running


@pytest.fixture(scope="session")
def web(space: RunningSpace) -> Iterator[Web]:
    with closing(Web(space.url)) as opened:
        yield opened


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSpace]:
    """The Space without a model."""
    with serving(tmp_path_factory.mktemp("stand_in"), 15, STAND_IN) as running:
        yield running


@pytest.fixture(scope="session")
def stand_in_web(stand_in: RunningSpace) -> Iterator[Web]:
    with closing(Web(stand_in.url)) as opened:
        yield opened


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Iterator[webdriver.Chrome]:
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    service = shutil.which("chromedriver")
    if binary is None or service is None:
        pytest.fail("there is no Chromium with chromedriver: `make browser` installs them")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    allowed = {"profile.default_content_setting_values.automatic_downloads": 1}
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads), **allowed})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(service))
    yield browser
    browser.quit()


@pytest.fixture
def page(driver: webdriver.Chrome, space: RunningSpace) -> Page:
    return Page(driver, space.url).open()


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 seconds of small grey frames, longer than the Space takes."""
    path = tmp_path_factory.mktemp("clips") / "long.mp4"
    write_video(path, (np.full((32, 48, 3), 10 * (index % 20), np.uint8) for index in range(100)), fps=4)
    return path


def write_moving_square(path: Path, height: int) -> Path:
    """64 frames, as many as the Space takes, with a red square that moves over a pattern."""
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 80, (9, 16, 3), np.uint8).repeat(height // 9, 0).repeat(height // 9, 1)

    def frames() -> Iterator[np.ndarray]:
        for index in range(64):
            frame = ground.copy()
            left = index * height // 64
            frame[height // 3 : 2 * height // 3, left : left + height // 3] = (220, 30, 30)
            yield frame

    write_video(path, frames(), fps=6)
    return path


@pytest.fixture(scope="session")
def large_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 frames of 1920x1080."""
    return write_moving_square(tmp_path_factory.mktemp("clips") / "large.mp4", 1080)


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 frames of 320x180."""
    return write_moving_square(tmp_path_factory.mktemp("clips") / "small.mp4", 180)
