# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What a visitor of the Space sees, in a browser."""

import json
import re
import urllib.parse
import zipfile

import numpy as np
import pytest
from conftest import Page
from PIL import Image

from transformers_soc.video_io import read_video, rle_to_masks

SENTENCES = ("the purple cross moving up", "<b>the purple</b> <img src=x onerror=document.title='broken'>")


@pytest.fixture(scope="module")
def answered(driver, space):
    """The page after an answer about the first example."""
    page = Page(driver, space.url).open()
    page.choose_example(0).write("\n".join(SENTENCES)).run().answer()
    page.screenshot("desktop")
    return page


def test_the_overlay_plays(answered):
    video = "const video = document.querySelector('#overlay video'); "
    duration = answered.wait(lambda: answered.driver.execute_script(video + "return video.duration"))
    assert duration == pytest.approx(16 / 6, abs=0.05)
    start = answered.driver.execute_script(video + "video.play(); return video.currentTime")
    answered.wait(lambda: answered.driver.execute_script(video + "return video.currentTime") != start)


def test_the_summary_names_sentences_colours_and_time(answered):
    lines = answered.find("#summary li")
    assert [line.find_element("css selector", ".sentence").text for line in lines] == list(SENTENCES)
    colors = {line.find_element("css selector", ".swatch").value_of_css_property("background-color") for line in lines}
    assert len(colors) == 2
    assert "16 frames of 256 x 192 pixels" in answered.find("#summary .taken")[0].text


def test_html_in_a_sentence_is_text(answered):
    assert answered.driver.title == "Referring video object segmentation"
    assert not answered.find("#summary b") and not answered.find("#summary img")


def test_the_plot_has_a_line_for_each_sentence(answered):
    lines = answered.wait(lambda: answered.find("#plot svg .mark-line path"))
    strokes = [line.get_attribute("stroke") for line in lines if line.get_attribute("stroke")]
    assert len(set(strokes)) == 2


def download(page, folder, button, name):
    """The file that a button downloads."""
    page.wait(lambda: page.find(f"{button}:not([disabled])"))
    page.click(button)
    page.wait(lambda: (folder / name).exists())
    return folder / name


def test_masks_are_downloaded_as_images(answered, downloads):
    with zipfile.ZipFile(download(answered, downloads, "#png-zip", "masks.zip")) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len(names) == 32 and "00-the-purple-cross-moving-up/00015.png" in names
        mask = np.asarray(Image.open(archive.open("00-the-purple-cross-moving-up/00000.png")))
    assert mask.shape == (192, 256) and mask.any() and not mask.all()


def test_masks_are_downloaded_as_run_length_codes(answered, downloads):
    content = json.loads(download(answered, downloads, "#rle-json", "masks.json").read_text())
    assert [item["expression"] for item in content["expressions"]] == list(SENTENCES)
    assert rle_to_masks(content["expressions"][0]["masks"]).shape == (16, 192, 256)
    assert content["frame_indices"] == list(range(16))


def test_nothing_is_fetched_from_outside(answered):
    entries = [json.loads(entry["message"])["message"] for entry in answered.driver.get_log("performance")]
    urls = [entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"]
    hosts = {urllib.parse.urlsplit(url).hostname for url in urls if url.startswith(("http", "ws"))}
    assert hosts == {"127.0.0.1"}


def test_the_page_fits_a_phone(answered):
    answered.resize(390)
    answered.wait(lambda: answered.driver.execute_script("return window.innerWidth") == 390)
    answered.screenshot("phone")
    assert answered.driver.execute_script("return document.documentElement.scrollWidth") <= 390
    answered.resize(1280)


def test_limits_are_visible(page):
    text = page.find("body")[0].text
    assert "20 seconds, 2 MB" in text and "5 sentences" in text and "deleted after 60 minutes" in text


def test_errors_without_a_video_or_a_sentence(page):
    page.write("the ring").run()
    assert page.shows_error("There is no video: upload a clip or choose an example.")
    page.open().choose_example(1).write("  ").run()
    assert page.shows_error("There is no sentence: write what to look for, one sentence in each line.")
    page.screenshot("error")


def upload_and_run(page, path):
    return page.open().upload(path).write("the ring").run()


def test_errors_about_the_upload(page, long_clip, tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("no video at all\n" * 100)
    page = upload_and_run(page, text)
    assert page.shows_error("The video is no video file, or is cut off: give a complete video file.")
    page = upload_and_run(page, long_clip)
    assert page.shows_error("The video lasts 25 seconds, and 20 are the limit: give a shorter one.")
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(3 * 2**20))
    assert page.open().upload(large).shows_error("exceed the maximum allowed size of 2")
    page.screenshot("too-large")


def test_a_large_clip_is_answered_in_little_memory(page, large_clip, space):
    page = upload_and_run(page, large_clip)
    assert "64 frames of 640 x 360 pixels" in page.answer()
    overlay = page.find("#overlay video")[0].get_attribute("src").partition("file=")[2]
    frames, info = read_video(overlay)
    assert frames.shape == (64, 360, 640, 3) and info.fps == pytest.approx(6)
    print(f"at most {space.peak / 1e6:.0f} MB with a clip of 1920x1080")
    assert space.peak < 2e9


HOSTILE = (
    "<script>document.title='broken'</script>",
    "<img src=x onerror=\"document.title='broken'\">",
    "\u202eהכלב משמאל 7",
    "left 左边 🐕 &lt;b&gt;",
    "</bdi></li></ol><h1>the ring</h1>",
)


def test_hostile_sentences_are_shown_as_text_in_their_lines(page):
    page.choose_example(1).paste("\n".join(HOSTILE)).run().answer()
    page.screenshot("hostile")
    lines = page.find("#summary li")
    shown = [[part.get_attribute("textContent") for part in line.find_elements("css selector", "*")] for line in lines]
    assert [(number, text) for number, text, _ in shown] == [(str(n), text) for n, text in enumerate(HOSTILE, 1)]
    assert all(re.fullmatch(r"score \d[.]\d\d, (no target|in \d+ of 16 frames)", found) for _, _, found in shown)
    assert page.driver.title == "Referring video object segmentation"
    assert not page.find("#summary script, #summary img, #summary h1, #summary b")
    assert len({number.rect["x"] for number in page.find("#summary .swatch")}) == 1
    assert all(page.driver.execute_script(IN_ORDER, line) for line in lines)


# The number of a line stands before its sentence, and that before its score or on a line above it.
IN_ORDER = """
const [number, sentence, found] = [...arguments[0].children].map(part => part.getBoundingClientRect());
return number.right <= sentence.left && (sentence.right <= found.left || sentence.bottom <= found.bottom);
"""


def test_a_full_queue_is_said_on_the_page(page, web, small_clip):
    video = web.upload(small_clip)
    page.choose_example(1)
    joined = [name for name in "abcdef" if web.join(name, video, "\n".join("abcde")).status_code == 200]
    page.run()
    assert page.shows_error("This application is currently busy. Please try again.")
    page.screenshot("full")
    for name in joined:
        assert web.events(name)


def open_tabs(driver, space, clip, count):
    """Tabs with a clip and five sentences each."""
    pages = {}
    for _ in range(count):
        driver.switch_to.new_window("tab")
        page = Page(driver, space.url).open().upload(clip).write("the red square\nthe ring\nthe star\na cross\nit")
        pages[driver.current_window_handle] = page
    return pages


def place_in_queue(page):
    """What the page says about the place of its job, or None when it has been answered."""
    text = page.find("#overlay")[0].text
    return re.search(r"queue: (\d+)/(\d+)", text) or (page.find("#summary .taken") and "answered")


def test_three_visitors_at_once(driver, space, small_clip):
    first = driver.current_window_handle
    pages = open_tabs(driver, space, small_clip, 3)
    for handle, page in pages.items():
        driver.switch_to.window(handle)
        page.run()
    place = page.wait(lambda: place_in_queue(page))
    print("the third visitor sees", place)
    page.screenshot("queue")
    driver.switch_to.new_window("tab")
    Page(driver, space.url).open()
    print(f"the page of a fourth is loaded after {driver.execute_script(LOAD_TIME):.0f} ms")
    driver.close()
    for handle, page in pages.items():
        driver.switch_to.window(handle)
        assert "64 frames" in page.answer()
        driver.close()
    driver.switch_to.window(first)
    print(f"at most {space.peak / 1e6:.0f} MB")
    assert isinstance(place, re.Match) and int(place[1]) >= 1
    assert space.peak < 2e9


LOAD_TIME = "const [entry] = performance.getEntriesByType('navigation'); return entry.loadEventEnd"
