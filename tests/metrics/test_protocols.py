# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0

from dataclasses import replace

import pytest

from transformers_soc.data.benchmarks import BENCHMARKS
from transformers_soc.metrics.evaluation import RECORDS, SUMMARIES
from transformers_soc.metrics.protocols import PROTOCOLS
from transformers_soc.processing_soc import MODES


def test_every_benchmark_has_a_protocol_that_exists():
    assert set(BENCHMARKS) < set(PROTOCOLS)
    for protocol in PROTOCOLS.values():
        assert protocol.answer in ("masks", "label_maps", "candidates") and protocol.mode in MODES
        assert protocol.clips in ("whole", "consecutive", "interleaved", "centered")
        assert protocol.metrics in RECORDS and protocol.metrics in SUMMARIES
        assert (protocol.clip_length is None) == (protocol.clips == "whole")


def test_ref_davis_is_cut_into_clips_of_36_frames():
    protocol = PROTOCOLS["refer_davis"]
    assert [len(clip) for clip in protocol.clip_indices(73, range(73))] == [36, 36, 1]
    assert [len(clip) for clip in protocol.clip_indices(36, range(36))] == [36]


def test_a2d_sees_eight_frames_around_the_annotated_one():
    protocol = PROTOCOLS["a2d_sentences"]
    assert protocol.clip_indices(30, [10]) == [[6, 7, 8, 9, 10, 11, 12, 13]]
    assert protocol.clip_indices(5, [0]) == [[0, 0, 0, 0, 0, 1, 2, 3]]
    assert protocol.clip_indices(5, [4]) == [[0, 1, 2, 3, 4, 4, 4, 4]]


@pytest.mark.parametrize("num_frames", [1, 35, 36, 37, 100])
@pytest.mark.parametrize("clips", ["whole", "consecutive", "interleaved"])
def test_every_frame_is_answered_once(clips, num_frames):
    length = None if clips == "whole" else 36
    protocol = replace(PROTOCOLS["mevis"], clips=clips, clip_length=length)
    parts = protocol.clip_indices(num_frames, range(num_frames))
    assert sorted(index for part in parts for index in part) == list(range(num_frames))
    assert all(len(part) <= (length or num_frames) and part == sorted(part) for part in parts)
    if clips == "interleaved" and num_frames == 37:
        assert parts[0][:3] == [0, 2, 4]


def test_single_images_are_seen_alone():
    for name in ("refcoco", "refcoco+", "refcocog"):
        assert PROTOCOLS[name].clip_indices(3, [1]) == [[1]]


def test_protocols_have_names():
    assert PROTOCOLS["mevis"].name == "whole" and PROTOCOLS["refer_davis"].name == "consecutive clips of 36"


def test_expressions_are_cleaned_where_they_were_in_training():
    cleaned = {name for name, protocol in PROTOCOLS.items() if protocol.do_lower_case}
    images = {"a2d_sentences", "jhmdb_sentences", "refcoco", "refcoco+", "refcocog"}
    assert cleaned == images | {"moving_shapes", "folder"}
