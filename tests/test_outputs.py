# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What is left beside an output, and what is not."""

from pathlib import Path

import pytest
from safetensors import SafetensorError

from transformers_soc.outputs import beside, naming


def make_hidden(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def test_what_a_killed_run_left_goes_once_the_output_is_there(tmp_path):
    left = make_hidden(tmp_path / ".out-killed_1.part", ".lock", "new")
    with pytest.raises(KeyboardInterrupt), beside(tmp_path / "out"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [left]
    with beside(tmp_path / "out") as temporary:
        (temporary / "new").touch()
        (temporary / "new").rename(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_others_have_there_stays(tmp_path):
    kept = [
        make_hidden(tmp_path / ".out-12345678.part", "new"),  # without a lock
        make_hidden(tmp_path / ".out-12345678", ".lock", "new"),
        make_hidden(tmp_path / ".out-masks-12345678.part", ".lock", "new"),
    ]
    with beside(tmp_path / "out") as first:
        (first / "new").touch()
        with beside(tmp_path / "out") as second:
            pass
        assert (first / "new").exists() and not second.exists()
    assert sorted(tmp_path.iterdir()) == sorted(kept)


@pytest.mark.parametrize("error", [SafetensorError, RuntimeError])
def test_errors_that_say_nothing_of_files_name_the_output(tmp_path, error):
    with pytest.raises(OSError, match=r"out' cannot be written \(No space left\):"), naming(tmp_path / "out"):
        raise error("No space left\nat line 3")
