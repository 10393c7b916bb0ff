# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Segment a large collection of videos, in one process or with Ray, and go on after interruptions."""

from .segment import CollectionSettings, CollectionSummary, VideoSegmenter, segment_collection

__all__ = ["CollectionSettings", "CollectionSummary", "VideoSegmenter", "segment_collection"]
