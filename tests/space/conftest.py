# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The running Space, and a browser that uses it as a visitor does."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from transformers_soc.video_io import write_video

FOLDER = Path(__file__).parents[2] / "spaces_demo"
START_SECONDS, ANSWER_SECONDS = 300, 180  # generous: the machine may be busy
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1280,1000"
)
TOAST = "[data-testid=toast-text]"
sys.path.insert(0, str(FOLDER))


class Space:
    """A Space in a process of its own, with a small queue and small uploads, and the most memory that it took."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.log = folder / "space.log"
        self.peak = 0
        limits = {"SOC_SPACE_MAX_WAITING": "3", "SOC_SPACE_MAX_MEGABYTES": "2", "HF_HUB_OFFLINE": "1"}
        places = {"TMPDIR": str(folder), "GRADIO_SERVER_PORT": str(self.port), "GRADIO_SERVER_NAME": "127.0.0.1"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(FOLDER / "app.py")],
                env={**os.environ, **limits, **places},
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Note the most memory that the process and its children hold together."""
        try:
            process = psutil.Process(self.process.pid)
            while True:
                family = [process, *process.children(recursive=True)]
                self.peak = max(self.peak, sum(member.memory_info().rss for member in family if member.is_running()))
                time.sleep(0.02)
        except psutil.NoSuchProcess:
            if self.process.poll() is None:
                self._watch()

    def wait(self) -> None:
        """Return when the page is served."""
        for _ in range(2 * START_SECONDS):
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            try:
                urllib.request.urlopen(self.url, timeout=10).close()
                return
            except OSError:
                time.sleep(0.5)
        raise AssertionError("the Space did not start")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


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


@pytest.fixture(scope="session")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    running = Space(tmp_path_factory.mktemp("space"))
    running.wait()
    yield running
    running.stop()


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
def page(driver: webdriver.Chrome, space: Space) -> Page:
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
