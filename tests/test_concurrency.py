# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Threads that share a model, a processor or a pipeline get what they would get alone, bit by bit."""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from conftest import gray_frames, tiny_processor
from models import ragged_inputs, tiny_inputs, tiny_model

from transformers_soc.pipeline_referring_video_segmentation import ReferringVideoSegmentationPipeline
from transformers_soc.session import SocVideoSession

pytestmark = pytest.mark.stress


@pytest.fixture(autouse=True)
def frequent_switches() -> Iterator[None]:
    """Threads change places a thousand times as often as usual, and each computes on one core."""
    interval, threads = sys.getswitchinterval(), torch.get_num_threads()
    sys.setswitchinterval(5e-6)
    torch.set_num_threads(1)
    yield
    sys.setswitchinterval(interval)
    torch.set_num_threads(threads)


def compare_with_serial(tasks: Sequence[Callable[[], Any]], threads: int, calls: int, equal: Callable) -> None:
    """Every thread does tasks in an order of its own; each result must equal that of the task alone."""
    expected = [task() for task in tasks]

    def work(thread: int) -> None:
        chance = random.Random(thread)
        for _ in range(calls):
            number = chance.randrange(len(tasks))
            assert equal(tasks[number](), expected[number]), f"task {number} in thread {thread}"

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))


def equal_fields(left: Any, right: Any) -> bool:
    return left.keys() == right.keys() and all(
        torch.equal(value, right[name]) if isinstance(value, torch.Tensor) else value == right[name]
        for name, value in left.items()
    )


def model_tasks(model: Any) -> list[Callable[[], Any]]:
    """Mixed sizes, batches and sentences, with and without autograd, whole and from features."""
    shapes = [(1, 1, 32, 48), (3, 2, 48, 64), (5, 3, 33, 40), (9, 1, 24, 24)]
    inputs = [tiny_inputs(*shape) for shape in shapes] + [ragged_inputs()]
    features = model.get_video_features(inputs[1]["pixel_values_videos"])
    words = {name: inputs[2][name] for name in ("input_ids", "attention_mask")}
    tasks = [torch.no_grad()(lambda own=own: model(**own)) for own in inputs]
    tasks += [lambda: model(**inputs[0]), torch.no_grad()(lambda: model(**inputs[4], best_query_only=True))]
    return [*tasks, torch.no_grad()(lambda: model(video_features=features, **words))]


@pytest.mark.parametrize("variant", ["soc", "soc++"])
def test_threads_share_a_model(variant, amount):
    model = tiny_model(variant).requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attributes = {name: sorted(vars(module)) for name, module in model.named_modules()}
    config = model.config.to_dict()
    compare_with_serial(model_tasks(model), amount(4, 8), amount(6, 50), equal_fields)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert attributes == {name: sorted(vars(module)) for name, module in model.named_modules()}
    assert model.config.to_dict() == config


def test_threads_share_a_pipeline(amount):
    pipe = ReferringVideoSegmentationPipeline(model=tiny_model("soc++"), processor=tiny_processor(), device=-1)
    asked = [
        (gray_frames(2), "a dog"),
        (gray_frames(5, 40, 30), ["a cat", "the dog on the left"]),
        (gray_frames(1), "x"),
    ]
    tasks: list[Callable[[], Any]] = [lambda own=own: pipe(own[0], own[1]) for own in asked]
    tasks.append(lambda: pipe(gray_frames(4), ["one", "two", "three"], batch_size=2, threshold=0.5))

    def equal(left: Any, right: Any) -> bool:
        pairs = zip(*(answer if isinstance(answer, list) else [answer] for answer in (left, right)), strict=True)
        return all(
            np.array_equal(one[name], other[name]) for one, other in pairs for name in ("masks", "boxes", "score")
        )

    compare_with_serial(tasks, amount(4, 8), amount(6, 50), equal)


def test_threads_share_a_processor(amount):
    """A sentence that is refused in one thread does not take the padding from another's."""
    processor = tiny_processor()

    def refuse() -> str:
        with pytest.raises(ValueError) as caught:
            processor(text="dog " * 20)
        return str(caught.value)

    def equal(left: Any, right: Any) -> bool:
        return left == right if isinstance(right, str) else equal_fields(left, right)

    tasks = [refuse, lambda: processor(text=["a", "a long sentence"]), lambda: processor(text="the dog")]
    compare_with_serial(tasks, amount(4, 8), amount(100, 2000), equal)


def test_threads_have_sessions_of_their_own_on_one_model(amount):
    model, processor = tiny_model("soc++"), tiny_processor()

    def answer(frames: int, mode: str) -> list[dict[str, Any]]:
        session = SocVideoSession(model, processor, mode=mode, clip_frames=4, overlap=1)
        session.add_expressions(["a dog", "the cat"])
        session.add_video(gray_frames(frames))
        return session.results()

    tasks: list[Callable[[], Any]] = [
        lambda: answer(3, "exact"), lambda: answer(9, "clip"), lambda: answer(6, "exact")
    ]  # fmt: skip

    def equal(left: Any, right: Any) -> bool:
        return all(one["masks"] == other["masks"] for one, other in zip(left, right, strict=True))

    compare_with_serial(tasks, amount(4, 8), amount(3, 50), equal)
