# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What programs can and cannot ask of the Space."""

import html
import re
import shutil
from pathlib import Path

import pytest
from conftest import FOLDER
from gradio_client import Client, handle_file

DOCUMENT = FOLDER.parent / "docs" / "space.md"
ANSWERED = [
    "<script>alert(1)</script>",
    "right to left: \u202eהכלב משמאל",
    "left 左边的红色圆 🐕\u200d🦺",
    "a\x00b\x1b[31m\x07 &amp; {{7*7}} %s",
    "e" + "\u0301" * 20,
]
REFUSED = {
    "empty": ("", "There is no sentence: write what to look for, one sentence in each line."),
    "spaces": (" \n\t\u3000\n", "There is no sentence: write what to look for, one sentence in each line."),
    "ten thousand words": ("word " * 10_000, "A sentence has more than 200 letters: write a shorter one."),
    "a thousand lines": ("a ring\n" * 1000, "1000 sentences are too many: ask at most 5 at a time."),
    "many tokens": (
        "a ring\n" + "🐕" * 100,
        "Sentence 2 has [0-9]+ tokens, but the text encoder reads at most 64: shorten it.",
    ),
    "invisible": ("\u200b\u202e", "Sentence 1 holds no character that can be seen: give at least one word."),
    "half of a pair": (
        "a dog \ud83d",
        "Sentence 1 is no valid text: its character 6 is half of a pair; decode it anew.",
    ),
}


@pytest.fixture(scope="module")
def client(space):
    return Client(space.url, verbose=False)


def test_the_documented_code_runs(space, small_clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(small_clip, "clip.mp4")
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    names = {}
    exec(code.replace("http://127.0.0.1:7860", space.url), names)  # noqa: S102
    assert len(names["content"]["expressions"]) == 2


def test_answers_lie_under_names_of_128_random_bits(web, small_clip):
    video = web.upload(small_clip)
    paths = [web.ask(session, video)["data"][0]["path"] for session in ("one", "two")]
    tokens = [Path(path).parent.name for path in paths]
    assert all(re.fullmatch(r"[0-9a-f]{32}", token) for token in tokens) and tokens[0] != tokens[1]
    assert web.get(f"/gradio_api/file={paths[0]}").status_code == 200
    assert web.get(f"/gradio_api/file={Path(paths[0]).parent.parent}").status_code == 403


def test_any_text_is_answered_and_escaped(web, small_clip):
    summary = web.ask("any text", web.upload(small_clip), "\n".join(ANSWERED))["data"][1]
    shown = re.findall(r'<bdi class="sentence">(.*?)</bdi>', summary, re.DOTALL)
    assert shown == [html.escape(sentence) for sentence in ANSWERED]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_sentence_is_refused(name, web, small_clip):
    text, refusal = REFUSED[name]
    assert re.fullmatch(refusal, web.ask(name, web.upload(small_clip), text)["error"])


def test_a_full_queue_is_said(client, small_clip):
    arguments = (handle_file(str(small_clip)), "\n".join("abcde"), 6, 0.3)
    jobs = [client.submit(*arguments, api_name="/segment") for _ in range(8)]
    errors = [str(job.exception(180)) for job in jobs if job.exception(180) is not None]
    assert 1 <= len(errors) <= 5 and all("full" in error.lower() for error in errors)
