# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Handler of Hugging Face Inference Endpoints for the model in this folder, which runs with the code in this folder.

A request is `{"inputs": {"video": VIDEO, "sentences": [SENTENCE, ...]}, "parameters": {...}}`:

- VIDEO: the bytes of a video or image file, the same as base64 text (also as a `data:` address), or an http(s) address
  of a host that the operator lists in the environment variable SOC_ALLOWED_HOSTS (names with commas between them);
- SENTENCE: what to look for; a single sentence may stand without a list;
- parameters, all optional: `num_frames`, `fps` or `stride` (which frames), `threshold`, `mask_threshold`,
  `union_threshold` and `batch_size`, as of the pipeline.

Where the body is the file itself, `inputs` is the video and `sentences` is one of the parameters. The answer holds
JSON types alone: `frame_indices`, `timestamps`, and in `expressions` an entry for each sentence, whose `masks` are
COCO run-length codes, one for each frame, and whose `boxes` are x1, y1, x2, y2 in pixels.
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from transformers import pipeline
from transformers.dynamic_module_utils import get_class_from_dynamic_module

TASK: Any = "referring-video-segmentation"
PARAMETERS = ("num_frames", "fps", "stride", "threshold", "mask_threshold", "union_threshold", "batch_size")
ALLOWED_HOSTS = "SOC_ALLOWED_HOSTS"


class EndpointHandler:
    """
    What the runtime of an endpoint makes once and calls for every request.

    Args:
        path: folder of the model, this file and the code.
    """

    def __init__(self, path: str = "") -> None:
        folder = str(path) or os.path.dirname(os.path.abspath(__file__))
        self.segment: Any = pipeline(TASK, model=folder, trust_remote_code=True)
        self.encode: Any = get_class_from_dynamic_module("video_io.results_to_json", folder)

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """
        Answer one request.

        Raises:
            ValueError, TypeError, OSError: a request, video or sentence that cannot be read; the message says why.
        """
        video, sentences, parameters = read_request(data)
        results = self.segment(video, sentences, progress=False, **parameters)
        return self.encode(results)


def read_request(data: Mapping[str, Any]) -> tuple[Any, list[str], dict[str, Any]]:
    """The video, the sentences and the arguments of the pipeline that a request asks for."""
    inputs, parameters = data.get("inputs"), dict(data.get("parameters") or {})
    if not isinstance(inputs, Mapping):
        inputs = {"video": inputs, "sentences": parameters.pop("sentences", None)}
    video, sentences = inputs.get("video"), inputs.get("sentences")
    sentences = [sentences] if isinstance(sentences, str) else sentences
    if not sentences or not isinstance(sentences, list):
        raise ValueError("the request has no sentences: give inputs.sentences, a list of at least one")
    unknown = sorted(set(parameters) - set(PARAMETERS))
    if unknown:
        raise ValueError(f"there is no parameter {unknown[0]!r}: the parameters are {', '.join(PARAMETERS)}")
    video = read_source(video)
    return video, sentences, {**parameters, "allow_url": isinstance(video, str)}


def read_source(video: Any) -> bytes | str:
    """The bytes of a video, or an address that may be fetched; never a path of this machine."""
    if isinstance(video, (bytes, bytearray)) and video:
        return bytes(video)
    if not isinstance(video, str) or not video:
        raise ValueError("the request has no video: give inputs.video, the file as base64 text")
    if re.match(r"[a-z][a-z0-9+.-]*://", video, re.IGNORECASE):
        address = urlsplit(video)
        allowed = {host.strip().lower() for host in os.environ.get(ALLOWED_HOSTS, "").split(",")} - {""}
        if address.scheme.lower() not in ("http", "https") or (address.hostname or "").lower() not in allowed:
            raise ValueError(f"this endpoint does not fetch {video!r}: send the video itself, as base64 text")
        return video
    encoded = video.partition(",")[2] if video.startswith("data:") else video
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("inputs.video is neither base64 text nor an http(s) address") from None
