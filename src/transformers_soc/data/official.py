# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
What the authors of the benchmarks state: titles, papers, where files come from, and how much there should be.

Only figures that a paper, a page, a file or the official code states are here; where sources contradict each other,
or none was found, there is no figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Official:
    """
    Attributes:
        title: of the benchmark.
        citation: key and paper.
        source: the release that its files belong to, in words.
        unit: what the expressions are about.
        videos, expressions: official numbers of units and expressions, by split; "all" is the sum of the splits, of
            A2D-Sentences the rows of the files, of which a few are in no split.
    """

    title: str
    citation: str
    source: str
    unit: str = "videos"
    videos: Mapping[str, int] = field(default_factory=dict)
    expressions: Mapping[str, int] = field(default_factory=dict)


_REFCOCO_PAPER = "yu2016modeling: Modeling Context in Referring Expressions, ECCV 2016"
_REFCOCO_SOURCE = "the data of the refer toolkit"

# By name; "mevis v2", "refcoco+" and "refcocog" for those that an option of the loader chooses.
OFFICIAL = {
    "refer_youtube_vos": Official(
        "Ref-YouTube-VOS",
        "seo2020urvos: URVOS, Unified Referring Video Object Segmentation Network with a Large-Scale Benchmark, ECCV "
        "2020",
        "the release of Ref-YouTube-VOS (project skynbe/Refer-Youtube-VOS)",
        videos={"train": 3471, "validation": 202, "test": 305, "all": 3978},
        expressions={"validation": 834, "all": 15009},
    ),
    "refer_davis": Official(
        "Ref-DAVIS17",
        "khoreva2018video: Video Object Segmentation with Language Referring Expressions, ACCV 2018",
        "the text annotations of Ref-DAVIS17",
        videos={"train": 60, "validation": 30, "all": 90},
        expressions={"validation": 244},
    ),
    "a2d_sentences": Official(
        "A2D-Sentences",
        "gavrilyuk2018actor: Actor and Action Video Segmentation from a Sentence, CVPR 2018",
        "the release of A2D-Sentences",
        videos={"all": 3782},
        expressions={"all": 6655},
    ),
    "jhmdb_sentences": Official(
        "JHMDB-Sentences",
        "gavrilyuk2018actor: Actor and Action Video Segmentation from a Sentence, CVPR 2018",
        "the release of JHMDB-Sentences",
        videos={"test": 928},
        expressions={"test": 928},
    ),
    "mevis": Official(
        "MeViS",
        "ding2023mevis: MeViS, A Large-scale Benchmark for Video Segmentation with Motion Expressions, ICCV 2023",
        "the release of MeViS",
        videos={"train": 1662, "validation_u": 50, "validation": 140},
        expressions={"train": 23051, "validation_u": 793, "validation": 2236},
    ),
    "mevis v2": Official(
        "MeViS, version 2",
        "ding2023mevis: MeViS, A Large-scale Benchmark for Video Segmentation with Motion Expressions, ICCV 2023",
        "the release of MeViS, version 2, on the Hub",
        videos={"train": 1662, "validation_u": 50, "validation": 140},
        expressions={"train": 27502, "validation_u": 907, "validation": 2523},
    ),
    "refcoco": Official(
        "RefCOCO",
        _REFCOCO_PAPER,
        _REFCOCO_SOURCE,
        "images",
        videos={"all": 19994},
        expressions={"all": 142210},
    ),
    "refcoco+": Official("RefCOCO+", _REFCOCO_PAPER, _REFCOCO_SOURCE, "images"),
    "refcocog": Official(
        "RefCOCOg",
        "mao2016generation: Generation and Comprehension of Unambiguous Object Descriptions, CVPR 2016",
        _REFCOCO_SOURCE,
        "images",
    ),
    "long_rvos": Official(
        "Long-RVOS",
        "liang2025longrvos: Long-RVOS, A Comprehensive Benchmark for Long-term Referring Video Object Segmentation, "
        "2025",
        "the release of Long-RVOS on the Hub",
        videos={"all": 2193},
    ),
    "revos": Official(
        "ReVOS",
        "yan2024visa: VISA, Reasoning Video Object Segmentation via Large Language Models, ECCV 2024",
        "the release of ReVOS (project VISA)",
        videos={"all": 1042},
        expressions={"all": 35074},
    ),
}

__all__ = ["OFFICIAL", "Official"]
