# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Jobs that fail, visitors who come all at once, and a Space that is told to end."""

import re
import time
from contextlib import closing

import psutil
import pytest
from conftest import STAND_IN, Web, until
from space_load import RunningSpace, Visitor, visit

FAULTS = ["RuntimeError", "MemoryError", "OSError", "StopIteration", "SystemExit", "KeyboardInterrupt"]


def children(space):
    return psutil.Process(space.process.pid).children(recursive=True)


def test_a_job_that_fails_leaves_the_next_one_alone(stand_in_web, small_clip):
    video = stand_in_web.upload(small_clip)
    for fault in FAULTS:
        output = stand_in_web.ask(fault, video, f"raise {fault}")
        assert output["error"] == "The program failed on this clip: try another clip or fewer frames."
    assert "the ring" in stand_in_web.ask("after faults", video)["data"][1]


def test_a_decoder_that_is_killed_is_one_sentence(stand_in, stand_in_web, large_clip, small_clip):
    stand_in_web.join("killed", stand_in_web.upload(large_clip)).raise_for_status()
    until(lambda: children(stand_in))[0].kill()
    output = next(event["output"] for event in stand_in_web.events("killed") if event["msg"] == "process_completed")
    assert output["error"] == "The video cannot be decoded within the memory of this Space: give a smaller one."
    assert "the ring" in stand_in_web.ask("after a kill", stand_in_web.upload(small_clip))["data"][1]


def test_cancelled_jobs_do_not_pile_up(stand_in, stand_in_web, small_clip):
    video = stand_in_web.upload(small_clip)
    start = len(stand_in.log.read_text())
    for name in ("one", "two", "three"):
        job = stand_in_web.join(name, video, "wait 1").json()["event_id"]
        time.sleep(0.5)
        body = {"session_hash": name, "fn_index": stand_in_web.function, "event_id": job}
        stand_in_web.post("/gradio_api/cancel", json=body).raise_for_status()
    stand_in_web.ask("after cancelled jobs", video)
    steps = re.findall("begin|end", stand_in.log.read_text()[start:])
    assert steps == ["begin", "end"] * (len(steps) // 2)


@pytest.mark.stress
def test_twenty_visitors_lose_nothing(stand_in, tmp_path, amount):
    visitors = [Visitor(stand_in.url, number, tmp_path) for number in range(20)]
    diary = visit(visitors, seconds=amount(3, 120))
    print(dict(diary.outcomes), dict(diary.messages))
    assert diary.outcomes["lost"] == 0 and diary.outcomes["done"] >= 15
    assert diary.outcomes["refused"] > 0  # 15 may wait, while one is served
    assert all(re.fullmatch(r"Queue is full[.] Max size is 15 and size is 15[.]", text) for text in diary.messages)


@pytest.mark.parametrize("sentence", ["the ring", "wait 60"], ids=["while it decodes", "while the model works"])
def test_a_space_that_is_told_to_end_leaves_no_files(sentence, large_clip, small_clip, tmp_path):
    space = RunningSpace(tmp_path, STAND_IN)
    try:
        space.wait()
        with closing(Web(space.url)) as web:
            web.join("last", web.upload(small_clip if "wait" in sentence else large_clip), sentence)
            decoders = until(lambda: children(space))
            if "wait" in sentence:
                until(lambda: "begin" in space.log.read_text())
            start = time.monotonic()
            assert space.stop() == 0
            print(f"ended after {time.monotonic() - start:.1f} s")
        until(lambda: not any(decoder.is_running() for decoder in decoders), 5)
        assert not list(tmp_path.glob("soc-space-*"))
    finally:
        space.process.kill()
