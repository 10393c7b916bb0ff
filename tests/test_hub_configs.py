# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""The folders of the released checkpoints: what a conversion writes, and cards that the Hub can read."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from models import random_checkpoint

import transformers_soc
from transformers_soc import SocConfig, SocModel
from transformers_soc.configuration_soc import PRESETS, ROBERTA_BASE
from transformers_soc.conversion import config_from_original
from transformers_soc.data.moving_shapes import render_clip
from transformers_soc.metrics.runs import DESCRIPTION
from transformers_soc.video_io import write_video
from transformers_soc_cli import build_parser, main

FOLDER = Path(__file__).parent.parent / "hub_configs"
CARDS = sorted(FOLDER.glob("soc-*/README.md"))
NAMES = [path.parent.name for path in CARDS]
# Of the authors' code with one class; SOC++ without the pooler of the text encoder, which it does not use.
OFFICIAL_PARAMETERS = {"soc-swin-t": 174_123_480, "soc-swin-b": 234_615_482, "socpp-swin-t": 216_648_666 - 590_592}
SETTINGS = ["a2d_from_scratch-t", "a2d_with_pretrain-t", "a2d_with_pretrain-b", "ytb_from_scratch-t"]
SETTINGS += ["ytb_with_pretrain-t", "ytb_with_pretrain-b", "ytb_joint_train-t", "ytb_joint_train-b"]
SETTINGS += ["plus-a2d", "plus-mevis", "plus-ytb", "plus-micro"]
REPORTED = json.loads((FOLDER / "data" / "reported_results.json").read_text())
# What the Hub takes at these places (its documentation of model cards and licences).
PIPELINE_TAGS = {"mask-generation"}
LICENCES = {"apache-2.0", "other"}


@pytest.fixture(scope="module")
def generate():
    """The generator and its modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        import generate

        yield generate
        for name in ("generate", "card_text", "micro_card", "official_card"):
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def checkpoints(generate):
    return {checkpoint.name: checkpoint for checkpoint in generate.read_checkpoints()}


def section(card, title):
    """The text below a heading of a card."""
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", card.text, re.MULTILINE | re.DOTALL)[1]


def test_there_is_a_folder_for_each_release():
    assert NAMES == sorted(f"soc-{setting}" for setting in SETTINGS)
    bundled = Path(transformers_soc.bundled_checkpoint(), "README.md")
    assert bundled.read_bytes() == (FOLDER / "soc-plus-micro" / "README.md").read_bytes()


def test_everything_is_up_to_date(generate, capsys):
    assert generate.main(["--check"]) == 0, capsys.readouterr().out


def test_check_finds_what_differs_and_what_is_left_over(generate, monkeypatch, tmp_path, capsys):
    (tmp_path / "soc-old").mkdir()
    (tmp_path / "soc-old" / "README.md").write_text("")
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    monkeypatch.setattr(generate, "official_files", lambda: [(tmp_path / "soc-new" / "README.md", b"new")])
    monkeypatch.setattr(generate, "micro_files", list)
    assert generate.main(["--check"]) == 1 and not (tmp_path / "soc-new").exists()
    assert generate.main([]) == 0 and (tmp_path / "soc-new" / "README.md").read_bytes() == b"new"
    assert capsys.readouterr().out.count("not generated, remove it") == 2
    shutil.rmtree(tmp_path / "soc-old")
    assert generate.main(["--check"]) == 0


@pytest.mark.parametrize("name", [name for name in NAMES if name != "soc-plus-micro"])
def test_configuration_is_that_of_a_conversion(checkpoints, name):
    preset = checkpoints[name].preset
    variant, backbone = PRESETS[preset]
    config = SocConfig.from_pretrained(FOLDER / name)
    converted = config_from_original({}, variant=variant, backbone=backbone, text_config=ROBERTA_BASE)
    ignored = ("_name_or_path", "architectures", "dtype", "transformers_version")
    one, other = ({k: v for k, v in c.to_dict().items() if k not in ignored} for c in (config, converted))
    assert json.loads(json.dumps(one)) == json.loads(json.dumps(other))
    with torch.device("meta"):
        assert SocModel(config).num_parameters() == OFFICIAL_PARAMETERS[preset]


def test_files_have_the_keys_that_a_conversion_writes(tmp_path):
    converted = random_checkpoint(tmp_path)
    for name, left_out in (("config.json", {"transformers_version"}), ("processor_config.json", set())):
        written, ours = (json.loads((folder / name).read_text()) for folder in (converted, FOLDER / "soc-plus-ytb"))
        assert written.keys() - left_out == ours.keys()
    size = {name: json.loads((FOLDER / name / "processor_config.json").read_text())["video_processor"]["size"]
            for name in ("soc-a2d_from_scratch-t", "soc-plus-mevis")}  # fmt: skip
    assert list(size.values()) == [
        {"longest_edge": 576, "shortest_edge": 320},
        {"longest_edge": 640, "shortest_edge": 360},
    ]


@pytest.mark.parametrize("path", CARDS, ids=NAMES)
def test_front_matter_is_valid(path):
    card = ModelCard.load(path)
    data = card.data.to_dict()
    assert data["pipeline_tag"] in PIPELINE_TAGS and data["library_name"] == "transformers"
    assert data["language"] == "en" and data["license"] in LICENCES
    if data["license"] == "other":
        assert re.fullmatch(r"[a-z0-9-]+", data["license_name"]) and data["license_link"].startswith("https://")
    assert data.get("base_model", "FacebookAI/roberta-base") == "FacebookAI/roberta-base"
    assert all(isinstance(tag, str) and "\n" not in tag for tag in [*data["tags"], *data["metrics"]])
    assert len(set(data["tags"])) == len(data["tags"]) and "referring-video-segmentation" in data["tags"]
    assert ModelCard(str(card)).data.to_dict() == data
    for target in re.findall(r"\]\(([^)]+)\)", card.text):
        assert urlsplit(target).scheme == "https" or (path.parent / target).is_file(), target


@pytest.mark.parametrize("path", CARDS, ids=NAMES)
def test_results_survive_the_card(generate, path):
    name = path.parent.name
    records = [record for record in REPORTED if record["model"] == name]
    if name == "soc-plus-micro":
        results = json.loads((path.parent / "results.json").read_text())
        records = sys.modules["micro_card"].records(results)
        assert len(records) == len(results["by kind"])
    card = ModelCard.load(path)
    read = card.data.eval_results or []
    written = sys.modules["card_text"].evaluation_results(records)
    assert sorted(map(repr, read)) == sorted(map(repr, written))
    assert ("model-index" in card.data.to_dict()) == bool(records)
    if not records:
        assert "states none and has no `model-index`" in " ".join(section(card, "Evaluation").split())
    for record in records:
        assert f"| {record['value']} |" in section(card, "Evaluation")


def test_every_reported_figure_has_a_source():
    for record in REPORTED:
        assert set(DESCRIPTION) <= set(record) and record["model"] in NAMES and record["measured_here"] is False
        assert record["source_url"].startswith("https://") and record["source"] and record["note"]
        assert 0 < record["value"] < 100


def test_hub_benchmarks_get_files_of_their_own(generate):
    records = [record for record in REPORTED if record["model"] == "soc-ytb_joint_train-b"]
    known = {"refer_davis": {"id": "owner/refer-davis", "task_id": "validation", "metric": "J&F"}}
    files = sys.modules["card_text"].hub_results(records, known)
    assert list(files) == ["refer_davis.yaml"]
    (entry,) = parse_eval_result_entries(yaml.safe_load(yaml.safe_dump(files["refer_davis.yaml"])))
    assert (entry.dataset_id, entry.value, entry.source_url) == ("owner/refer-davis", 65.8, records[0]["source_url"])
    assert sys.modules["card_text"].hub_results(records, {}) == {}


@pytest.mark.parametrize("path", CARDS, ids=NAMES)
def test_card_says_what_it_must(checkpoints, path):
    card, name = ModelCard.load(path), path.parent.name
    text = " ".join(card.text.split())
    for title in ("Use", "Intended use and limits", "Training", "Evaluation", "Speed", "Citation", "Licence"):
        assert section(card, title).strip()
    assert "$" not in card.text and "None" not in card.text
    if name == "soc-plus-micro":
        return
    assert f"--recipe {checkpoints[name].recipe_name.removesuffix('.yaml')}" in text
    assert ("## Convert the official weights" in card.text) == (name != "soc-plus-ytb")
    assert ("transformers-soc convert" in text) == (name != "soc-plus-ytb")
    assert ("do not state the backbone" in text) == (name in ("soc-plus-a2d", "soc-plus-mevis"))
    assert "They state no licence for them" in text or name == "soc-plus-ytb"


@pytest.mark.parametrize("name", ["soc-plus-micro", "soc-ytb_joint_train-b"])
def test_the_code_of_a_card_runs(name, tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", (FOLDER / name / "README.md").read_text(), re.DOTALL)
    shutil.copytree(transformers_soc.bundled_checkpoint(), tmp_path / "path" / "to" / name)
    write_video(tmp_path / "clip.mp4", render_clip("test", 0, num_frames=4, height=64, width=96).frames, 4)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code, names)  # noqa: S102, a snippet of this repository
    assert len(names["results"]) == 2 and names["results"][0]["masks"].shape == (4, 64, 96)


def test_every_snippet_imports_the_package_and_names_the_task():
    for path in CARDS:
        for code in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL):
            assert code.startswith("import transformers_soc\n") and '"referring-video-segmentation"' in code


@pytest.mark.parametrize("path", CARDS, ids=NAMES)
def test_commands_of_a_card_are_understood(path):
    """By the parser, and of train and evaluate also by their scripts."""
    for block in re.findall(r"```bash\n(.*?)```", path.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            program, *arguments = shlex.split(line)
            assert program == "transformers-soc"
            if arguments[0] == "convert":
                assert build_parser().parse_args(arguments).tokenizer == "FacebookAI/roberta-base"
            else:
                assert main([*arguments, "--dry-run"]) == 0


def test_micro_card_refuses_text_and_figures_of_other_weights(generate, tmp_path):
    bundled = Path(transformers_soc.bundled_checkpoint())
    for path in bundled.iterdir():
        shutil.copyfile(path, tmp_path / path.name)
    (tmp_path / "model.safetensors").write_bytes(b"others")
    with pytest.raises(ValueError, match=r"the weights of soc-plus-micro are new: measure .* set weights_sha256"):
        generate.micro_card(tmp_path, [])
    config = json.loads((bundled / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"threshold": 0.9}))
    with pytest.raises(ValueError, match=r"results.json was measured with .* but the checkpoint has 0.9"):
        generate.micro_card(tmp_path, [])


def test_micro_card_follows_the_results(generate, tmp_path):
    bundled = Path(transformers_soc.bundled_checkpoint())
    for path in bundled.iterdir():
        shutil.copyfile(path, tmp_path / path.name)
    results = json.loads((bundled / "results.json").read_text())
    results["by kind"]["motion"]["J&F"] = 12.3
    results["refused at the threshold"]["no target"] = 77.7
    (tmp_path / "results.json").write_text(json.dumps(results))
    card = ModelCard(generate.micro_card(tmp_path, []))
    assert 12.3 in [result.metric_value for result in card.data.eval_results] and "| 12.3 |" in card.text
    assert "a mask to 22.3 % of the sentences that nothing fits" in card.text and "| no target | 77.7 |" in card.text


def test_speed_is_taken_from_files_of_the_benchmark(generate):
    speed_section = sys.modules["card_text"].speed_section
    settings = {"size": "soc-swin-t", "expressions": 2, "frame_size": [360, 640], "dtype": "float32", "threads": 2}
    settings |= {"frames": 8, "device": "cpu"}
    entry = {"settings": settings, "machine": {"name": "A CPU", "torch": "2.13.0+cpu"}, "seconds": 3.14159}
    assert "| 8 of 640x360 | 2 | float32 | 3.14 | A CPU, 2 threads, torch 2.13.0 |" in speed_section(
        [entry], "soc-swin-t"
    )
    assert speed_section([entry], "soc-swin-b") == "Not measured."
