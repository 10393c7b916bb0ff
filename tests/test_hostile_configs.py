# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""Configurations of strangers: a wrong field is named, nothing is fetched, and no code of a folder runs."""

import json
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from limits import limited_memory, no_network
from models import tiny_config
from transformers import AutoConfig, AutoModel, AutoProcessor, pipeline

from transformers_soc import SocConfig, SocModel, VideoSwinConfig
from transformers_soc.modeling_soc import CheckpointError

NUMBERS = [2**31, 2**63, 10**400, 10**6, -1, -(10**18), 0, 1.5, math.nan, math.inf, 1e308]
WORDS = ["8", "", "kernels-community/evil", "../../evil", "__import__('os')", [], [[]], {}, [2**40] * 5000, None, True]


@pytest.fixture(autouse=True)
def bounds() -> Iterator[None]:
    with no_network(), limited_memory():
        yield


def number_fields(config: dict[str, Any], parents: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths to all fields with numbers, switches or words."""
    for name, value in config.items():
        if isinstance(value, dict) and name not in ("id2label", "label2id"):
            yield from number_fields(value, (*parents, name))
        elif name not in ("architectures", "transformers_version", "_name_or_path"):
            yield (*parents, name)


def change_field(config: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    changed = json.loads(json.dumps(config))
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return changed


def load(folder: Path, config: dict[str, Any]) -> str:
    """What becomes of the folder's weights with this configuration: the error, or an empty string."""
    (folder / "config.json").write_text(json.dumps(config))
    try:
        model = SocModel.from_pretrained(folder)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) < 1500
        return f"{'weights' if isinstance(error, CheckpointError) else 'field'}: {error}"
    assert isinstance(model, SocModel)
    return ""


@pytest.mark.stress
def test_random_fields_are_named_or_harmless(own_folder, amount):
    """A ValueError that names the field, or the tensors that it makes unfit; or the field changes no shape."""
    generator = random.Random(0)
    config = json.loads((own_folder / "config.json").read_text())
    paths = list(number_fields(config))
    outcomes = {"field": 0, "weights": 0, "": 0}
    for _ in range(amount(60, 1000)):
        path, value = generator.choice(paths), generator.choice(NUMBERS + WORDS)
        told = load(own_folder, change_field(config, path, value))
        kind = told.partition(":")[0]
        assert kind != "field" or path[-1].lstrip("_") in told or path[0] in told, (path, str(value)[:80], told)
        outcomes[kind] += 1
    print(outcomes)
    assert outcomes["field"] > 2 * outcomes[""]


def nested(levels: int) -> dict[str, Any]:
    return {"deeper": nested(levels - 1)} if levels else {}


HUB = "names a kernel of the Hub"
HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "queries": ({"num_queries": 10**6}, "`num_queries` must lie in 0 to 65,536"),
    "labels": ({"num_labels": 10**9}, "`num_labels`"),
    "layers of the text encoder": ({"text_config": {"num_hidden_layers": 10**6}}, "`text_config.num_hidden_layers`"),
    "labels of the text encoder": ({"text_config": {"num_labels": 10**9}}, "`text_config.num_labels`"),
    "window": ({"backbone_config": {"window_size": [64, 64, 64]}}, "`window_size` .* needs tables of"),
    "infinite": ({"dropout": math.inf}, "`dropout` must lie in 0 to 1, got inf"),
    "nested": ({"novel": nested(40)}, "`novel.deeper.* is nested more than 16 levels deep"),
    "method": ({"to_dict": 1}, "`to_dict` is no field of SocConfig"),
    "method of a part": ({"text_config": {"to_dict": 1}}, "`text_config.to_dict` is no field"),
    "dtype": ({"dtype": "nn"}, "`dtype` must be one of"),
    "activation": ({"text_config": {"hidden_act": "evil"}}, "`text_config.hidden_act` 'evil' is no activation"),
    "no text encoder": ({"text_config": {"model_type": "gpt2"}}, "`text_config` of type 'gpt2' cannot be built"),
    "unknown type": ({"backbone_config": {"model_type": "evil"}}, "`backbone_config.model_type` 'evil'"),
    "attention": ({"attn_implementation": "evil/kernel"}, HUB),
    "attention of parts": ({"attn_implementation": {"text_config": "evil/kernel"}}, HUB),
    "set attention": ({"_attn_implementation": "evil/kernel"}, HUB),
    "internal attention": ({"_attn_implementation_internal": "evil/kernel"}, HUB),
    "attention of the text encoder": ({"text_config": {"_attn_implementation": "evil/kernel"}}, HUB),
    "experts": ({"_experts_implementation": "evil/kernel"}, HUB),
    "backbone of the Hub": ({"backbone": "evil/backbone"}, "`backbone` is no field"),
    "other weights": ({"transformers_weights": "../other.safetensors"}, "`transformers_weights` is no field"),
    "timm of the Hub": (
        {"backbone_config": {"model_type": "timm_backbone", "backbone": "hf-hub:evil/model"}},
        "`backbone_config.backbone` .* names a place to fetch a model from",
    ),
}


@pytest.mark.parametrize(("fields", "sentence"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_fields_are_refused(own_folder, fields, sentence):
    config = json.loads((own_folder / "config.json").read_text())
    merged = {
        name: {**config[name], **value} if name in ("backbone_config", "text_config") else value
        for name, value in fields.items()
    }
    assert re.search(sentence, load(own_folder, {**config, **merged}))


def test_an_attention_of_the_file_does_not_reach_the_parts(own_folder):
    config = json.loads((own_folder / "config.json").read_text())
    config["text_config"]["_attn_implementation"] = "eager"
    assert load(own_folder, config) == ""
    assert AutoModel.from_pretrained(own_folder).text_encoder.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("text", ['{"novel": ' * 1000 + "0" + "}" * 1000, "[]", "7", "null"], ids=str)
def test_files_that_hold_no_fields_are_refused(own_folder, text):
    (own_folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match="is no dict of fields, or nested too deep"):
        SocConfig.from_pretrained(own_folder)


def test_fields_are_checked_when_they_are_set_later():
    config = tiny_config()
    with pytest.raises(ValueError, match="Field 'd_model' expected int"):
        config.d_model = "wide"
    with pytest.raises(ValueError, match="Field 'embed_dim' expected int"):
        VideoSwinConfig(embed_dim="8")


EVIL = """
from pathlib import Path
from transformers import PretrainedConfig
Path(__file__).with_name("canary").touch()
class Evil(PretrainedConfig):
    model_type = "evil"
"""
CLASSES = ("AutoConfig", "AutoModel", "AutoProcessor", "AutoVideoProcessor", "AutoTokenizer")


@pytest.fixture
def evil_folder(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose every file names code beside it; nobody is there to answer whether it may run."""
    monkeypatch.setattr("builtins.input", lambda *_: "")
    (own_folder / "evil.py").write_text(EVIL)
    for name in ("config.json", "processor_config.json", "tokenizer_config.json"):
        content = json.loads((own_folder / name).read_text())
        content["auto_map"] = dict.fromkeys(CLASSES, "evil.Evil")
        content["custom_pipelines"] = {"referring-video-segmentation": {"impl": "evil.Evil", "pt": ["AutoModel"]}}
        (own_folder / name).write_text(json.dumps(content))
    return own_folder


def test_code_of_a_folder_is_not_run(evil_folder):
    assert isinstance(AutoModel.from_pretrained(evil_folder), SocModel)
    AutoProcessor.from_pretrained(evil_folder)
    pipeline("referring-video-segmentation", model=str(evil_folder))
    assert not (evil_folder / "canary").exists()


def test_code_of_an_unknown_type_runs_only_where_it_is_trusted(evil_folder):
    content = json.loads((evil_folder / "config.json").read_text()) | {"model_type": "evil"}
    (evil_folder / "config.json").write_text(json.dumps(content))
    for load_folder in (AutoConfig.from_pretrained, AutoModel.from_pretrained):
        with pytest.raises(ValueError, match="trust_remote_code=True"):
            load_folder(evil_folder)
    assert not list(evil_folder.parent.rglob("canary"))
    assert AutoConfig.from_pretrained(evil_folder, trust_remote_code=True).model_type == "evil"
