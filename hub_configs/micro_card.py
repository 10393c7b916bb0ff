# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
The card of soc-plus-micro, the checkpoint that the package carries.

Figures come from files of `examples/examine_soc_plus_micro.py`: `results.json` beside the weights, and
`data/soc-plus-micro-compositional.json`, of the split test_compositional. What no file of figures can say stands in
`data/soc-plus-micro-training.md`. `data/soc-plus-micro.json` names the weights that these two were written for, so
that neither outlives them.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from card_text import FOLDER, fill_template, front_matter, paragraph, speed_section, table, usage
from safetensors import safe_open

from transformers_soc import __version__

NAME = "soc-plus-micro"
WEIGHTS, RESULTS = "model.safetensors", "results.json"
COMPOSITIONAL = FOLDER / "data" / "soc-plus-micro-compositional.json"
TRAINING = FOLDER / "data" / "soc-plus-micro-training.md"
FACTS = FOLDER / "data" / "soc-plus-micro.json"
COMMAND = "python examples/examine_soc_plus_micro.py"
FEWEST = 14  # sentences of a family that is shown
EXTREMES = 5  # families that are named as the best and the worst


def micro_card(checkpoint: Path, speed: Sequence[Mapping[str, Any]]) -> str:
    """
    The card of the bundled checkpoint.

    Args:
        checkpoint: its folder.
        speed: what was measured of any model, see `speed_section`.

    Raises:
        ValueError: the figures or the text about the training are of other weights.
    """
    results = json.loads((checkpoint / RESULTS).read_text(encoding="utf-8"))
    facts = json.loads(FACTS.read_text(encoding="utf-8"))
    check_weights(checkpoint, results, facts)
    compositional = json.loads(COMPOSITIONAL.read_text(encoding="utf-8"))
    bib = (FOLDER / "data" / "citations.bib").read_text(encoding="utf-8").strip()
    return fill_template(
        front_matter=front_matter(NAME, ["J&F"], records(results), [], license="apache-2.0"),
        name=NAME,
        summary=paragraph(
            f"A SOC++ of {count_parameters(checkpoint) / 1e6:.1f} million parameters that the project trained itself,",
            "from random weights, on MovingShapes: generated clips of coloured shapes with sentences. It is the",
            "default of the pipeline, so that everything runs at once and offline, and a small start for experiments.",
            "Its tokenizer, of the words of MovingShapes, lies beside it.",
        ),
        use=usage('["the red circle moving to the left", "both green stars"]'),
        limits=_limits(results),
        training=TRAINING.read_text(encoding="utf-8").strip()
        + "\n\n![Losses and accuracies of the stages](curves.png)",
        evaluation=_evaluation(results, compositional, facts),
        speed=speed_section(speed, NAME),
        conversion="",
        citation=bib,
        licence="Apache License 2.0, weights and code.",
    )


def check_weights(checkpoint: Path, results: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Refuse figures and text of other weights than those in the folder."""
    saved = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))["threshold"]
    if results["threshold"] != saved:
        raise ValueError(
            f"{RESULTS} was measured with the threshold {results['threshold']}, but the checkpoint has {saved}: "
            "measure it anew"
        )
    digest = hashlib.sha256((checkpoint / WEIGHTS).read_bytes()).hexdigest()
    if facts["weights_sha256"] != digest:
        raise ValueError(
            f"the weights of {NAME} are new: measure {COMPOSITIONAL.name} ({COMMAND} --split test_compositional), "
            f"rewrite {TRAINING.name}, and then set weights_sha256 in {FACTS.name} to {digest}"
        )


def count_parameters(checkpoint: Path) -> int:
    """Numbers in the weights of a folder; running statistics of norms count as well."""
    with safe_open(checkpoint / WEIGHTS, framework="pt") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]
    return sum(math.prod(shape) for shape in shapes)


def records(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures by kind of sentence, in the columns of the evaluation script's `results.json`."""
    return [
        {
            "model": NAME,
            "dataset": "moving_shapes",
            "dataset_version": None,
            "split": results["split"],
            "group": kind,
            "metric": "J&F",
            "value": entry["J&F"],
            "num_samples": entry["number"],
            "command": f"{COMMAND} --num-videos {results['videos']}",
            "package_version": __version__,
            "source": None,
            "source_url": None,
            "measured_here": True,
        }
        for kind, entry in results["by kind"].items()
    ]


def _limits(results: Mapping[str, Any]) -> str:
    controls, refused = results["controls, J&F"], results["refused at the threshold"]
    families = {name: entry["J&F"] for name, entry in _shown(results["by family"]).items()}
    ranked = sorted(families, key=lambda name: families[name])
    answered = round(100 - refused["no target"], 1)

    def listed(names: Sequence[str]) -> str:
        return ", ".join(f"{name} {families[name]}" for name in names)

    parts = [
        "To try the package and to test it. It knows shapes on plain or textured grounds and nothing else; on real "
        "videos its masks mean nothing.",
        "Of look-alikes that move in opposite directions it takes the one that the sentence names in "
        f"{controls['plain, right look-alike']} % of the cases, and where the direction word is exchanged for its "
        f"opposite, it finds the other object with a J&F of {controls['reversed, new target']}.",
        f"The families of sentences that it answers best, by J&F: {listed(ranked[: -EXTREMES - 1 : -1])}. Those that "
        f"it answers worst: {listed(ranked[:EXTREMES])}.",
        f"**It gives a mask to {answered} % of the sentences that nothing fits**: at the saved threshold it refuses "
        f"{refused['no target']} % of them, and {refused['real sentences']} % of the others.",
    ]
    return "\n\n".join(paragraph(part) for part in parts)


def _shown(families: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry for name, entry in families.items() if entry["number"] >= FEWEST}


def _evaluation(results: Mapping[str, Any], compositional: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    controls, ceilings = results["controls, J&F"], facts["ceilings"]
    sides = results["by short side of the frame"]
    reading = [
        ("as it is, J&F", controls["plain"]),
        ("the right one of the look-alikes, %", controls["plain, right look-alike"]),
        ("the direction word reversed, against the old target, J&F", controls["reversed"]),
        ("the direction word reversed, against the new target, J&F", controls["reversed, new target"]),
        ("one frame repeated, J&F", controls["one frame"]),
        ("the clip played backwards, J&F", controls["backward"]),
    ]
    others = ", ".join(f"{kind} {entry['J&F']}" for kind, entry in compositional["by kind"].items())
    return "\n\n".join(
        [
            paragraph(
                f"`{RESULTS}` holds all figures of `examples/examine_soc_plus_micro.py` on {results['videos']} clips",
                f"of the split {results['split']} (seed {results['seed']}, {results['sentences']} sentences), which",
                "share no clip with the training. J and F are those of DAVIS, in percent, at the size of the frames;",
                "no sentence is refused for them.",
            ),
            _scores(results["by kind"]),
            "By the short side of the frame, in pixels:",
            _scores({side: sides[side] for side in sorted(sides, key=int)}),
            "Motion sentences by the number of look-alikes in the scene:",
            _scores(results["by number of look-alikes, motion"]),
            f"By family, those with at least {FEWEST} sentences:",
            _scores(_shown(results["by family"])),
            f"Controls, on {controls['number']} sentences with a direction whose opposite means another object:",
            table(("", ""), reading),
            paragraph(
                f"Refused at the saved threshold of {results['threshold']}, in percent; it was set on",
                f"{facts['validation_videos']} clips of the validation split so that 5 % of the real sentences are",
                "refused:",
            ),
            table(("", "refused"), list(results["refused at the threshold"].items())),
            paragraph(
                f"On {compositional['videos']} clips of the split {compositional['split']}, whose pairs of colour and",
                f"shape never occur in the training, J&F is {others}.",
            ),
            paragraph(
                f"An answer that never reads the sentence reaches a J of {ceilings['without_the_sentence']} on motion",
                "sentences (one look-alike by chance), and one that sees a single frame",
                f"{ceilings['from_one_frame']}, both with perfect masks: `ceilings` of",
                '`transformers_soc.data.moving_shapes_ceilings`, of `render_clip("test", index, kinds=("motion",))`',
                f"for the first {ceilings['videos']} indices.",
            ),
        ]
    )


def _scores(groups: Mapping[str, Any]) -> str:
    rows = [(name, entry["number"], entry["J"], entry["F"], entry["J&F"]) for name, entry in groups.items()]
    return table(("", "sentences", "J", "F", "J&F"), rows)


__all__ = ["NAME", "micro_card", "records"]
