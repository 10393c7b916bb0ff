# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What programs can and cannot ask of the Space."""

import json
import re
import shutil
from pathlib import Path

import httpx
import pytest
from conftest import FOLDER
from gradio_client import Client, handle_file

DOCUMENT = FOLDER.parent / "docs" / "space.md"


@pytest.fixture(scope="module")
def client(space):
    return Client(space.url, verbose=False)


@pytest.fixture(scope="module")
def web(space):
    with httpx.Client(base_url=space.url, timeout=60) as opened:
        yield opened


def ask(web, video, session):
    """The last event of a job that is asked for without the page or the client; `video` is what stands for a file."""
    body = {
        "data": [video, "the ring", 6, 0.3, "soc-plus-micro"],
        "fn_index": segment_index(web),
        "session_hash": session,
    }
    web.post("/gradio_api/queue/join", json=body).raise_for_status()
    with web.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as events:
        for line in events.iter_lines():
            if "process_completed" in line:
                return json.loads(line.removeprefix("data: "))
    return None


def segment_index(web):
    functions = web.get("/config").json()["dependencies"]
    return next(item["id"] for item in functions if item["api_name"] == "segment")


def test_the_documented_code_runs(space, small_clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(small_clip, "clip.mp4")
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    names = {}
    exec(code.replace("http://127.0.0.1:7860", space.url), names)  # noqa: S102
    assert len(names["content"]["expressions"]) == 2


def test_answers_lie_under_names_of_128_random_bits(web, space, small_clip):
    video = {"path": upload(web, small_clip), "meta": {"_type": "gradio.FileData"}}
    paths = [ask(web, video, session)["output"]["data"][0]["path"] for session in ("one", "two")]
    tokens = [Path(path).parent.name for path in paths]
    assert all(re.fullmatch(r"[0-9a-f]{32}", token) for token in tokens) and tokens[0] != tokens[1]
    assert web.get(f"/gradio_api/file={paths[0]}").status_code == 200
    assert web.get(f"/gradio_api/file={Path(paths[0]).parent.parent}").status_code == 403


def upload(web, path):
    with path.open("rb") as file:
        return web.post("/gradio_api/upload", files={"files": (path.name, file)}).json()[0]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../etc/passwd", "http://127.0.0.1:1/clip.mp4", "file:///etc/passwd"]
)
def test_only_uploads_are_read(web, path):
    answer = ask(web, {"path": path, "meta": {"_type": "gradio.FileData"}}, f"read {path}")
    assert answer["success"] is False
    assert "root:" not in json.dumps(answer)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", str(FOLDER / "app.py"), "app.py", "https://example.com/", "//etc/passwd"]
)
def test_nothing_else_is_served(web, path):
    assert web.get(f"/gradio_api/file={path}").status_code == 403


def test_a_large_request_is_refused_whether_its_length_is_stated_or_not(web):
    def long_form():
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
        for _ in range(50):
            yield bytes(100_000)

    stated = web.post("/gradio_api/upload", files={"files": ("a.mp4", bytes(3 * 2**20))})
    form = {"content-type": "multipart/form-data; boundary=x"}
    unstated = web.post("/gradio_api/upload", content=long_form(), headers=form)
    assert stated.status_code == unstated.status_code == 413


def test_a_full_queue_is_said(client, small_clip):
    arguments = (handle_file(str(small_clip)), "\n".join("abcde"), 6, 0.3)
    jobs = [client.submit(*arguments, api_name="/segment") for _ in range(8)]
    errors = [str(job.exception(180)) for job in jobs if job.exception(180) is not None]
    assert 1 <= len(errors) <= 5 and all("full" in error.lower() for error in errors)
