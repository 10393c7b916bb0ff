# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Damaged videos of many kinds end as frames or as one sentence, never as a crash, a hang or a leak.

What crashes FFmpeg itself is a finding: the test fails with the path of the file, which pytest keeps. What this
package promises is that a process that has others decode for it, as the Space has, lives on.
"""

import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from hostile_videos import SEEDS, decode_in_forks, growth_of_decoding, mutate

pytestmark = [pytest.mark.stress, pytest.mark.skipif(sys.platform != "linux", reason="the decoder reads /proc")]
# As a program sets them that decodes videos of strangers: they bound what a sound file can take.
LIMITS = {"max_pixels": 4096 * 2304, "max_frames": 1000}


@pytest.fixture(scope="module")
def mutants(tmp_path_factory, amount) -> list[Path]:
    folder = tmp_path_factory.mktemp("mutants")
    paths = []
    for name, make in SEEDS.items():
        data = make()
        for number in range(amount(4, 200)):
            paths.append(folder / f"{number:03d}-{name}")
            paths[-1].write_bytes(mutate(data, random.Random(f"{name} {number}")))
    return paths


def test_the_seeds_are_sound(tmp_path):
    for name, make in SEEDS.items():
        (tmp_path / name).write_bytes(make())
    outcomes = dict(zip(SEEDS, decode_in_forks([tmp_path / name for name in SEEDS]), strict=True))
    assert {outcome.result for outcome in outcomes.values()} == {"frames"}, outcomes
    assert outcomes["qtrle.mov"].shape == [10, 64, 48, 3] and outcomes["h264-one-frame.mp4"].shape == [1, 48, 64, 3]


def test_every_mutant_gives_frames_or_one_sentence(mutants):
    outcomes = dict(zip(mutants, decode_in_forks(mutants, LIMITS), strict=True))
    most = [max(values) for values in zip(*(outcome[3:] for outcome in outcomes.values()), strict=True)]
    print(Counter(outcome.result for outcome in outcomes.values()), "at most {:.2f} s, {:.0f} MB".format(*most))
    results = ("frames", "VideoDecodeError")
    assert not {path: outcome for path, outcome in outcomes.items() if outcome.result not in results}
    assert not any("\n" in outcome.message for outcome in outcomes.values())


def test_memory_does_not_grow_with_the_number_of_mutants(mutants):
    grown = growth_of_decoding(mutants, LIMITS)
    print(f"{grown:.1f} MB")
    assert grown < 50


@pytest.mark.parametrize("code, result", [("os.abort()", "signal -6"), ("[1 for _ in iter(int, 1)]", "signal -14")])
def test_a_crash_and_a_hang_are_told_from_an_error(tmp_path, code, result):
    """Of the test itself."""
    module = tmp_path / "module.py"
    module.write_text(f"import os\nVideoLimits = dict\ndef read_video(*_, **__):\n    {code}\n")
    ended = decode_in_forks([module, module], module=str(module), seconds=1)
    assert [outcome.result for outcome in ended] == [result] * 2
