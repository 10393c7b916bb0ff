# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""A model as a folder for the Hub: it works with the package and without it, and nothing else gets in or out."""

import base64
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import tiny_processor
from fake_hub import FakeHub
from huggingface_hub import ModelCard
from models import tiny_model
from packaging.requirements import Requirement
from transformers.dynamic_module_utils import get_imports

import transformers_soc
from transformers_soc import SocConfig
from transformers_soc.cli import export_hub as command
from transformers_soc.export.hub import export_hub
from transformers_soc.export.travelling import requirements, travelling_modules
from transformers_soc.video_io import rle_to_masks

TASK = "referring-video-segmentation"
# In a process of its own, for every way to call the pipeline: where its classes come from and what it answers.
CALLS = f"""
import base64, json, sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from transformers import AutoModel, pipeline
installed, folder, clip = sys.argv[1] == "installed", *sys.argv[2:]
assert bool(find_spec("transformers_soc")) == installed
if installed:
    import transformers_soc
calls = {{"task": dict(task="{TASK}"), "both": dict(task="{TASK}", trust_remote_code=True),
          "trust": dict(trust_remote_code=True)}}
for name, arguments in calls.items():
    try:
        segment = pipeline(model=folder, **arguments)
    except ValueError as error:
        print("\\n" + json.dumps([name, "ValueError", "trust_remote_code" in str(error)]))  # after the question
        continue
    origin = [type(part).__module__.split(".")[0] for part in (segment, segment.model, segment.processor)]
    answer = segment(clip, "the red circle", num_frames=4)
    print(json.dumps([name, *origin, answer["masks"].shape, answer["score"], int(answer["masks"].sum())]))
model = AutoModel.from_pretrained(folder, trust_remote_code=None if installed else True)
print(json.dumps(["model", type(model).__module__.split(".")[0]]))
specification = spec_from_file_location("handler.EndpointHandler", folder + "/handler.py")
module = module_from_spec(specification)
specification.loader.exec_module(module)
video = base64.b64encode(open(clip, "rb").read()).decode()
inputs = {{"video": video, "sentences": "the red circle"}}
(entry,) = module.EndpointHandler(folder)({{"inputs": inputs, "parameters": {{"num_frames": 4}}}})["expressions"]
print(json.dumps(["handler", len(entry["masks"]), entry["score"]]))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny random model, saved by this package from a text encoder and a tokenizer that lay in local folders."""
    folder = tmp_path_factory.mktemp("saved") / "tiny-soc"
    tiny_model("soc++").save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    for name, part in (("config.json", "text_config"), ("tokenizer_config.json", None)):
        content = json.loads((folder / name).read_text())
        (content if part is None else content[part]).update(_name_or_path=str(folder), is_local=True)
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "tiny"
    export_hub(model, folder)
    return folder


def environment(folder, **variables):
    """Variables of a process with caches of its own."""
    caches = {"HF_HOME": str(folder / "home"), "HF_MODULES_CACHE": str(folder / "modules"), "HF_HUB_OFFLINE": "1"}
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | caches | variables


def python(executable, variables, *arguments):
    """What a process prints; it must succeed."""
    done = subprocess.run(
        [str(executable), *map(str, arguments)],
        env=variables,
        cwd=variables["HF_HOME"],
        stdin=subprocess.DEVNULL,  # nobody answers when transformers asks whether the code may be trusted
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def needed_distributions(names):
    """Installed distributions of these names, and all that they require, as a set of names."""
    found, pending = set(), list(names)
    while pending:
        name = pending.pop().lower().replace("_", "-")
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        if name not in found:
            found.add(name)
            entries = [Requirement(line) for line in lines]
            pending += [entry.name for entry in entries if not entry.marker or entry.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def second_environment(exported, tmp_path_factory):
    """A virtual environment with what the folder's requirements.txt lists, and without this package."""
    names = [Requirement(line).name for line in (exported / "requirements.txt").read_text().splitlines()]
    folder = tmp_path_factory.mktemp("second") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(folder)], check=True)
    library = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    here = Path(sysconfig.get_path("purelib"))
    entries = {path.name for path in here.glob("_torchvision_cpu.*")}  # the start-up hook, where there is one
    for name in needed_distributions(names):
        entries |= {file.parts[0] for file in metadata.files(name) or [] if file.parts[0] not in ("..", "__pycache__")}
    for entry in entries:
        (library / entry).symlink_to(here / entry)
    return folder / "bin" / "python"


@pytest.mark.slow
def test_every_way_to_load_with_and_without_the_package(exported, second_environment, video_path, tmp_path):
    (tmp_path / "home").mkdir()
    script = tmp_path / "calls.py"
    script.write_text(CALLS)
    variables = environment(tmp_path)
    here, there = (
        [json.loads(line) for line in text.splitlines() if line.startswith("[")]
        for text in (
            python(sys.executable, variables, script, "installed", exported, video_path),
            python(second_environment, variables, script, "missing", exported, video_path),
        )
    )
    package, copy = "transformers_soc", "transformers_modules"
    answer = here[0][4:]
    assert answer[0] == [4, 32, 48] and answer[2] > 0
    assert here[:2] == [["task", package, package, package, *answer], ["both", package, package, package, *answer]]
    assert here[2:4] == [["trust", copy, package, package, *answer], ["model", package]]
    assert there[0] == ["task", "ValueError", True]
    assert there[1:3] == [["both", copy, copy, copy, *answer], ["trust", copy, copy, copy, *answer]]
    assert there[3] == ["model", copy]
    assert here[4] == there[4] == ["handler", 4, answer[1]]


@pytest.mark.slow
def test_push_sends_the_files_of_the_folder(model, tmp_path):
    (tmp_path / "home").mkdir()
    hub, output = FakeHub(), tmp_path / "pushed"
    variables = environment(
        tmp_path, HF_HUB_OFFLINE="0", HF_ENDPOINT=hub.address, HF_TOKEN="hf_test", HF_HUB_DISABLE_XET="1"
    )
    script = "from transformers_soc.cli import export_hub; import argparse, sys; export_hub.run(argparse.Namespace(\n"
    script += "    model=sys.argv[1], output=sys.argv[2], push='me/tiny', private=True, overwrite=False, json=True))"
    report = json.loads(python(sys.executable, variables, "-c", script, model, output))
    hub.shutdown()
    assert hub.repositories == [{"name": "tiny", "organization": "me", "visibility": "private"}]
    assert sorted(hub.files) == report["files"] and report["commit"] == f"{hub.address}/me/tiny/commit/1"
    assert all((output / name).read_bytes() == content for name, content in hub.files.items())


def options(**changes):
    return SimpleNamespace(**({"push": None, "private": False, "overwrite": False, "json": False} | changes))


def test_command_says_what_it_wrote(model, tmp_path, capsys):
    command.run(options(model=model, output=tmp_path / "a", json=True))
    report = json.loads(capsys.readouterr().out)
    sizes = [path.stat().st_size for path in (tmp_path / "a").iterdir()]
    assert len(report["files"]) == len(sizes) and report["bytes"] == sum(sizes) and report["commit"] is None


def test_no_repository_is_refused_before_anything_is_written(model, tmp_path):
    with pytest.raises(ValueError, match="'a/b/c' is no id"):
        command.run(options(model=model, output=tmp_path / "a", push="a/b/c"))
    assert not (tmp_path / "a").exists()


def test_folder_holds_the_code_and_nothing_of_this_machine(model, exported):
    names = {path.name for path in exported.iterdir()}
    assert {path.name for path in travelling_modules()} | {"handler.py", "requirements.txt"} <= names
    assert (exported / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    text = "".join((exported / name).read_text() for name in names if name.endswith((".json", ".md", ".txt")))
    assert str(model.parent) not in text and "is_local" not in text
    (pipeline,) = json.loads((exported / "config.json").read_text())["custom_pipelines"].items()
    assert pipeline[0] == TASK and pipeline[1]["pt"] == ["AutoModel"]


def test_installed_config_renames_the_pipeline_of_the_folder(exported, tmp_path):
    config = SocConfig.from_pretrained(exported)
    assert list(config.custom_pipelines) == [f"soc-{TASK}"]
    config.save_pretrained(tmp_path)
    assert SocConfig.from_pretrained(tmp_path).custom_pipelines == config.custom_pipelines


def test_loading_asks_for_no_more_than_it_must(exported):
    """Of what transformers imports before it runs a folder's code; the rest is imported where it is needed."""
    asked = {name for path in exported.glob("*.py") for name in get_imports(path)} - sys.stdlib_module_names
    assert asked <= {"torch", "transformers", "huggingface_hub", "safetensors", "numpy", "PIL"}


def test_card_is_kept_and_told_how_to_load(tmp_path):
    folder = tmp_path / "micro"
    export_hub("soc-plus-micro", folder)
    export_hub(folder, tmp_path / "again")
    own = Path(transformers_soc.bundled_checkpoint(), "README.md").read_text()
    card = ModelCard.load(folder / "README.md")
    assert card.text.startswith(ModelCard(own).text.rstrip()) and "custom_code" in card.data.tags
    assert card.text.count("## Load this folder") == 1 and (folder / "curves.png").is_file()
    assert (tmp_path / "again" / "README.md").read_text() == (folder / "README.md").read_text()


def test_output_is_replaced_only_when_asked_and_only_a_model(model, tmp_path):
    for name in ("full", "other", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "config.json").write_text("{}")
    (tmp_path / "other" / "thesis.tex").write_text("")
    with pytest.raises(FileExistsError, match="--overwrite"):
        export_hub(model, tmp_path / "full")
    with pytest.raises(FileExistsError, match="something other than a model"):
        export_hub(model, tmp_path / "other", overwrite=True)
    with pytest.raises(FileExistsError, match="holds the model itself"):
        export_hub(model, model, overwrite=True)
    assert "handler.py" in export_hub(model, tmp_path / "full", overwrite=True)
    assert "handler.py" in export_hub(model, tmp_path / "empty")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "full", "other"]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("config.json", '{"model_type": "bert"}', "no SOC or SOC"),
        ("config.json", "[]", "not a JSON object"),
        ("config.json", None, "has no config.json"),
        ("processor_config.json", None, "has no processor_config.json"),
        ("tokenizer_config.json", None, "has no tokenizer_config.json"),
        ("model.safetensors", "damaged", "damaged"),
    ],
)
def test_what_is_no_model_is_refused(model, tmp_path, name, content, message):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in model.iterdir():
        (copy / path.name).symlink_to(path)
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        export_hub(copy, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_weights_that_do_not_fit_or_are_pickled_are_refused(model, tmp_path):
    for path in model.iterdir():
        (tmp_path / path.name).symlink_to(path)
    config = json.loads((model / "config.json").read_text())
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_queries": 7}))
    with pytest.raises(ValueError, match=r"do not fit its config.json: '[\w.]*' is missing, unexpected or of another"):
        export_hub(tmp_path, tmp_path / "out")
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"only pytorch_model.bin, which would have to be unpickled"):
        export_hub(tmp_path, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="hf download"):
        export_hub("owner/name", tmp_path / "out")


@pytest.mark.parametrize(
    "line, message",
    [
        ("from . import other", "does not travel"),
        ("from ..package import name", "does not travel"),
        ("from .data.folder import name", "does not travel"),
        ("from .missing import name", "no module beside it"),
        ("import transformers_soc.data", "not there where the folder is loaded"),
        ("import no_such_package", "is not installed"),
        ('"""\nfrom .other import name\n"""', "reword the text"),
    ],
)
def test_imports_that_would_fail_are_refused(tmp_path, line, message):
    (tmp_path / "modeling_a.py").write_text(f"import os\n{line}\n")
    with pytest.raises(ValueError, match=message):
        travelling_modules(tmp_path)


def test_what_is_imported_travels_and_is_required(tmp_path):
    (tmp_path / "session.py").write_text("def f():\n    from .a import name\n")
    (tmp_path / "a.py").write_text("try:\n    import av\nexcept ImportError:\n    pass\nfrom .session import f\n")
    (tmp_path / "unused.py").write_text("import gradio\n")
    modules = travelling_modules(tmp_path)
    assert [path.name for path in modules] == ["a.py", "session.py"]
    assert requirements(modules) == ["av>=14.2", "torchvision"]


@pytest.fixture(scope="module")
def endpoint(exported):
    """The handler, loaded as the runtime of an endpoint loads it."""
    specification = importlib.util.spec_from_file_location("handler.EndpointHandler", exported / "handler.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.EndpointHandler(str(exported))


def test_handler_answers_json(endpoint, video_path):
    video = video_path.read_bytes()
    text = base64.b64encode(video).decode()
    inputs = {"video": text, "sentences": ["the dog", "a cat"]}
    answer = endpoint({"inputs": inputs, "parameters": {"num_frames": 4, "threshold": 0.0}})
    assert json.loads(json.dumps(answer)) == answer and answer["frame_indices"] == [0, 5, 10, 15]
    first, second = answer["expressions"]
    assert (first["expression"], second["expression"], len(first["boxes"])) == ("the dog", "a cat", 4)
    expected = endpoint.segment(video, "the dog", num_frames=4, threshold=0.0)
    np.testing.assert_array_equal(rle_to_masks(first["masks"]), expected["masks"])
    single = {"sentences": "the dog", "num_frames": 4, "threshold": 0.0}
    for inputs in (video, f"data:video/mp4;base64,{text}"):
        assert endpoint({"inputs": inputs, "parameters": single})["expressions"] == [first]


@pytest.mark.parametrize(
    "inputs, parameters, message",
    [
        ({"sentences": ["a"]}, {}, "no video"),
        ({"video": "AAAA"}, {}, "no sentences"),
        ({"video": "AAAA", "sentences": ["a"]}, {"path": "x"}, "no parameter 'path'"),
        ({"video": "/etc/passwd", "sentences": ["a"]}, {}, "neither base64"),
        ({"video": "a.bcd", "sentences": ["a"]}, {}, "neither base64"),
        ({"video": "file:///etc/passwd", "sentences": ["a"]}, {}, "does not fetch"),
        ({"video": "http://127.0.0.1/a.mp4", "sentences": ["a"]}, {}, "does not fetch"),
        ({"video": "https://user@other.org/a.mp4?example.org", "sentences": ["a"]}, {}, "does not fetch"),
    ],
)
def test_handler_refuses(endpoint, monkeypatch, inputs, parameters, message):
    monkeypatch.setenv("SOC_ALLOWED_HOSTS", "example.org, example.com")
    with pytest.raises(ValueError, match=message):
        endpoint({"inputs": inputs, "parameters": parameters})


def test_handler_fetches_from_hosts_that_are_allowed(endpoint, monkeypatch):
    asked = []
    monkeypatch.setenv("SOC_ALLOWED_HOSTS", "example.org, example.com")
    monkeypatch.setattr(endpoint, "segment", lambda *given, **named: asked.append((given, named)) or [])
    with pytest.raises(IndexError):
        endpoint({"inputs": {"video": "https://Example.com/a.mp4", "sentences": "a"}})
    assert asked == [(("https://Example.com/a.mp4", ["a"]), {"progress": False, "allow_url": True})]
