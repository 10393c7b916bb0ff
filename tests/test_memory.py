# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The memory that clips need, and that there is."""

import pytest
import torch

from transformers_soc.memory import available_memory, check_memory, estimate_memory


def test_free_memory_is_read():
    free = available_memory(torch.device("cpu"))
    assert free is None or 1e7 < free < 1e14


def test_need_grows_with_the_frames():
    one, two, ten = (estimate_memory(frames, 100, 100, 5) for frames in (1, 2, 10))
    assert ten - one == 9 * (two - one) > 0


def test_clips_count_at_their_common_size():
    need = estimate_memory(2 * 8, 100, 120, 10)
    check_memory([(8, 100, 60), (4, 50, 120)], 10, need)
    check_memory([(8, 100, 60), (4, 50, 120)], 10, None)
    with pytest.raises(ValueError, match=r"2 videos of 8 frames of 120x100 need .* mode='clip'"):
        check_memory([(8, 100, 60), (4, 50, 120)], 10, need - 1)
