# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What the operator of the Space sets, through environment variables that begin with SOC_SPACE_."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import PurePath

PREFIX = "SOC_SPACE_"
BUNDLED = "soc-plus-micro"
MEGABYTE = 2**20  # as Gradio counts in its messages


class Refusal(ValueError):
    """What a visitor asked for is not done; the message is one sentence that the page shows."""


@dataclass(frozen=True)
class Settings:
    """Limits of the Space. Each number is read from a variable of its name, as SOC_SPACE_MAX_SECONDS.

    Attributes:
        models: folder or Hub id of each model, by the name that visitors see.
        max_megabytes: of an upload.
        max_seconds: of a clip.
        max_pixels: of a frame of the upload.
        max_side: the longer side to which frames are scaled down, and so the size of the masks.
        max_frames: that the model sees of a clip.
        max_fps: the highest frame rate that can be chosen.
        max_sentences: of a job.
        max_letters: of a sentence.
        max_waiting: jobs in the queue.
        decode_seconds: after which decoding is given up.
        decode_megabytes: of address space that decoding may take.
        keep_seconds: after which uploads and answers are deleted.
        max_stored_megabytes: of all uploads and answers; above it the oldest are deleted before their time.
    """

    models: dict[str, str] = field(default_factory=lambda: {BUNDLED: BUNDLED})
    max_megabytes: int = 50
    max_seconds: int = 20
    max_pixels: int = 4096 * 2304
    max_side: int = 640
    max_frames: int = 64
    max_fps: int = 12
    max_sentences: int = 5
    max_letters: int = 200
    max_waiting: int = 20
    decode_seconds: int = 60
    decode_megabytes: int = 2000
    keep_seconds: int = 3600
    max_stored_megabytes: int = 2000


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The defaults, replaced by what the environment says.

    Raises:
        ValueError: a variable that is no positive whole number, or a list of models that cannot be read.
    """
    given: dict[str, int] = {}
    for item in fields(Settings):
        text = environment.get(PREFIX + item.name.upper())
        if text is not None and item.name != "models":
            if not (text.isascii() and text.isdigit() and int(text) > 0):
                raise ValueError(f"{PREFIX}{item.name.upper()} must be a positive whole number, got {text!r}")
            given[item.name] = int(text)
    models = environment.get(PREFIX + "MODELS")
    return Settings(**given) if models is None else Settings(models=read_models(models), **given)


def read_models(text: str) -> dict[str, str]:
    """Models by the name that visitors see, from "soc-plus-micro, name=folder, name=user/repository".

    An entry without a name is shown by the last part of its folder or Hub id.

    Raises:
        ValueError: no model, an entry without a folder, or two models of one name.
    """
    models: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, mark, source = (part.strip() for part in entry.partition("="))
        if not mark:
            name, source = PurePath(entry).name, entry
        if not name or not source:
            raise ValueError(f"{PREFIX}MODELS holds {entry!r}: write name=folder or name=user/repository")
        if name in models:
            raise ValueError(f"{PREFIX}MODELS names {name!r} twice: give each model a name of its own")
        models[name] = source
    if not models:
        raise ValueError(f"{PREFIX}MODELS names no model: leave it unset for {BUNDLED}")
    return models
