# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What the Space serves, reads and keeps when a program asks for what it should not have."""

import json
import os
import re
import time
from pathlib import Path

import httpx
import pytest
from conftest import FOLDER, Web, until

FILES = [
    "/etc/passwd",
    "//etc/passwd",
    "/ETC/passwd",
    "../../etc/passwd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%252f..%252fetc%252fpasswd",
    "....//....//etc/passwd",
    "/etc/passwd%00.mp4",
    "%00",
    "/proc/self/environ",
    "/proc/self/root/etc/passwd",
    "/dev/zero",
    "C:%5Cwindows%5Cwin.ini",
    ".env",
    "app.py",
    f"{FOLDER}/app.py",
    "{root}/space.log",
    "{storage}",
    "{storage}/served",
    "{storage}/work/frames.npy",
    "{storage}/WORK/frames.npy",
    "{storage}/served/../work/frames.npy",
    "{storage}/examples/%2e%2e/work/frames.npy",
]
ADDRESSES = [
    "http://169.254.169.254/latest/meta-data",
    "http://127.0.0.1:22/",
    "http://10.0.0.1/",
    "http://[::1]/",
    "HTTP://LOCALHOST/",
    "https://example.com/",
    "ftp://example.com/clip.mp4",
    "file:///etc/passwd",
]
UNUSED = [
    ("GET", "component_server"),
    ("POST", "component_server"),
    ("GET", "custom_component/1/client/component/index.js"),
    ("GET", "deep_link?session_hash=a"),
    ("GET", "dev/reload"),
    ("POST", "process_recording"),
    ("GET", "stream/a/b/1/playlist.m3u8"),
    ("GET", "vibe-code"),
    ("POST", "undo-vibe-edit"),
]
NAMES = {
    "../../clip.mp4": "clip.mp4",
    "..%2f..%2fclip.mp4": None,
    "..\\..\\clip.mp4": None,
    "/etc/cron.d/clip": "clip",
    "$(touch x);.mp4": None,
    "<img src=x onerror=alert(1)>.mp4": None,
    "page.html": "page.html",
    "picture.svg": "picture.svg",
    ".": None,
}


@pytest.fixture(scope="module")
def storage(stand_in):
    """The folder of the Space, with a file that a job might leave."""
    (found,) = stand_in.folder.glob("soc-space-*")
    (found / "work" / "frames.npy").write_text("a secret")
    return found


def get(web: Web, target: str) -> httpx.Response:
    """Ask for exactly these letters; a client would resolve dots and quote some letters."""
    request = web.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=target.encode())
    return web.send(request)


@pytest.mark.parametrize("path", FILES)
def test_no_other_file_is_served(path, stand_in, stand_in_web, storage):
    path = path.replace("{root}", str(stand_in.folder)).replace("{storage}", str(storage))
    for route in ("file=", "file/"):
        answer = get(stand_in_web, f"/gradio_api/{route}{path}")
        assert answer.status_code in (403, 404)
        assert not re.search("root:|secret|import|PATH=", answer.text)


@pytest.mark.parametrize("folder", ["static", "assets", "svelte"])
def test_no_file_beside_those_of_gradio_is_served(folder, stand_in_web):
    for path in ("../../routes.py", "..%2f..%2froutes.py", "%2e%2e/%2e%2e/%2e%2e/routes.py", "/etc/passwd"):
        assert get(stand_in_web, f"/{folder}/{path}").status_code in (403, 404)


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_are_not_fetched(address, stand_in_web):
    for route in ("file=", "file/", "proxy="):
        answer = get(stand_in_web, f"/gradio_api/{route}{address}")
        assert (answer.status_code, answer.text) == (403, "Addresses are not fetched.")
    file = {"path": address, "meta": {"_type": "gradio.FileData"}}
    for number, (video, text) in enumerate([(file, "the ring"), (None, file)]):
        output = stand_in_web.ask(f"{address} {number}", video, text)
        assert "data" not in output and "root:" not in json.dumps(output)
        # Gradio takes all else for the name of a file, which nobody has uploaded.
        if address.startswith("http"):
            assert output["error"] == "Addresses are not fetched: upload the video."


def test_only_uploads_are_read(stand_in, stand_in_web):
    for path in ("/etc/passwd", "../../etc/passwd", "/proc/self/environ", str(stand_in.log)):
        output = stand_in_web.ask(f"read {path}", {"path": path, "meta": {"_type": "gradio.FileData"}})
        assert "data" not in output and not re.search("root:|PATH=|Running", json.dumps(output))


@pytest.mark.parametrize("method, route", UNUSED)
def test_routes_that_the_page_does_not_use_are_closed(method, route, stand_in_web):
    for prefix in ("/gradio_api/", "/"):
        answer = stand_in_web.request(method, prefix + route)
        assert (answer.status_code, answer.text) == (404, "This Space has no such route.")


@pytest.mark.parametrize("name", NAMES)
def test_an_upload_lies_in_the_folder_of_uploads(name, stand_in, stand_in_web, storage):
    before = set(stand_in.folder.rglob("*")) - set((storage / "served").rglob("*"))
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    form = {"content-type": "multipart/form-data; boundary=x"}
    body = head.encode() + b"<script>alert(1)</script>\r\n--x--\r\n"
    answer = stand_in_web.post("/gradio_api/upload", content=body, headers=form)
    path = Path(answer.raise_for_status().json()[0])
    assert path.parents[1] == storage / "served" and path.resolve() == path
    assert NAMES[name] in (None, path.name)
    assert set(stand_in.folder.rglob("*")) - set((storage / "served").rglob("*")) == before
    if path.suffix in (".html", ".svg"):
        served = stand_in_web.get(f"/gradio_api/file={path}")
        assert served.headers["content-disposition"].startswith("attachment")


def test_a_large_request_is_refused_whether_its_length_is_stated_or_not(stand_in_web):
    def long_form():
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
        for _ in range(50):
            yield bytes(100_000)

    stated = stand_in_web.post("/gradio_api/upload", files={"files": ("a.mp4", bytes(3 * 2**20))})
    form = {"content-type": "multipart/form-data; boundary=x"}
    unstated = stand_in_web.post("/gradio_api/upload", content=long_form(), headers=form)
    assert stated.status_code == unstated.status_code == 413
    assert stand_in_web.join("large", None, "word " * 200_000).status_code == 413


def test_sessions_hear_of_their_own_jobs_alone(stand_in_web, small_clip):
    video = stand_in_web.upload(small_clip)
    jobs = {
        name: stand_in_web.join(name, video, f"sentence of {name}").json()["event_id"] for name in ("anna", "bela")
    }
    for name, job in jobs.items():
        for guess in ("", "*", "%", "ANNA", name[:-1], job):
            assert "sentence of" not in stream(stand_in_web, guess)
        events = stand_in_web.events(name)
        assert {event["event_id"] for event in events} <= {job, None}
        text = json.dumps(events)
        assert [other for other in jobs if f"sentence of {other}" in text] == [name]


def stream(web: Web, session: str) -> str:
    """What is said to somebody who guesses the name of a session."""
    text = ""
    try:
        with web.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as lines:
            for line in lines.iter_lines():
                text += line
    except httpx.RemoteProtocolError:  # the Space hangs up
        pass
    return text


def test_uploads_and_answers_are_deleted_when_their_time_is_over(stand_in_web, storage, small_clip):
    outputs = stand_in_web.ask("deleted", stand_in_web.upload(small_clip))["data"]
    paths = [outputs[index]["path"] for index in (0, 3, 4)]
    assert [stand_in_web.get(f"/gradio_api/file={path}").status_code for path in paths] == [200] * 3
    an_hour_ago = time.time() - 3601
    for path in (storage / "served").rglob("*"):
        os.utime(path, (an_hour_ago, an_hour_ago))
    until(lambda: not any(path.is_file() for path in (storage / "served").rglob("*")))
    assert [stand_in_web.get(f"/gradio_api/file={path}").status_code for path in paths] == [403] * 3
