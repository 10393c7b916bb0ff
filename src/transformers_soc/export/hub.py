# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Folders for the Hub: a model, its processor, its card, and the code that runs them where this package is missing.

The weights are copied as they are, and nothing is unpickled. `custom_pipelines` names the folder's pipeline as the
task is called; where this package is installed, `SocConfig` renames it on loading, so that the installed pipeline
answers without `trust_remote_code`.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, ModelCard, ModelCardData
from huggingface_hub.utils import HFValidationError, validate_repo_id
from safetensors import SafetensorError, safe_open

from .. import (
    TASK,
    ReferringVideoSegmentationPipeline,
    SocConfig,
    SocModel,
    SocProcessor,
    SocVideoProcessor,
    bundled_checkpoint,
)
from ..outputs import beside
from . import handler
from .travelling import requirements, travelling_modules

CONFIG, PROCESSOR, CARD = "config.json", "processor_config.json", "README.md"
WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json")
# Of the card, and of the evaluation that it tells of.
DOCUMENTS = (CARD, "LICENSE*", "NOTICE*", "results.json", "*.png", "*.gif", "*.jpg", ".eval_results/*.yaml")
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
# What saving notes about the machine on which it happened.
LOCAL_KEYS = ("_name_or_path", "name_or_path", "is_local", "local_files_only")
CARD_TAGS = ("custom_code", TASK)


def export_hub(model: str | Path, output: str | Path, overwrite: bool = False) -> list[str]:
    """
    Write a folder that works with this package, and with `trust_remote_code=True` also without it.

    Args:
        model: folder with a model, its processor and tokenizer; or the name of a bundled checkpoint.
        output: folder to write; it appears complete or not at all.
        overwrite: replace `output` where it holds a model already.

    Returns:
        Names of the files, relative to `output`.

    Raises:
        FileNotFoundError: no such model, or it lacks a file.
        FileExistsError: there is something at `output` that may not be replaced.
        ValueError: the model is not one of this package, its weights do not fit its configuration or would have to be
            unpickled, or the code of the package cannot travel.
    """
    source, output = find_model(model), Path(output)
    _check_output(source, output, overwrite)
    modules = travelling_modules()
    check_model(source)
    output.parent.mkdir(parents=True, exist_ok=True)
    with beside(output) as temporary:
        folder = temporary / "new"
        folder.mkdir()
        _copy_model(source, folder)
        for path in [*modules, Path(handler.__file__)]:
            shutil.copyfile(path, folder / path.name)
        (folder / "requirements.txt").write_text("\n".join(requirements(modules)) + "\n", encoding="utf-8")
        _write_card(folder, output.name)
        _put_in_place(folder, output, temporary / "old")
    return sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())


def _put_in_place(folder: Path, output: Path, old: Path) -> None:
    """Move a folder to `output`, and what is there to `old`, or back if anything prevents that."""
    try:
        if output.exists():
            output.rename(old)
        folder.rename(output)
    except BaseException:
        if old.exists() and not output.exists():
            old.rename(output)
        raise


def push_folder(folder: str | Path, repository: str, private: bool = False) -> str:
    """
    Upload a folder to a model repository of the Hub, which is made where it does not exist.

    Args:
        folder: of `export_hub`.
        repository: its id, `name` or `owner/name`.
        private: make a new repository private.

    Returns:
        The address of the commit.

    Raises:
        ValueError: this is no id of a repository.
        OSError: the Hub cannot be reached, or refuses.
    """
    check_repository(repository)
    api = HfApi()
    name = api.create_repo(repository, private=private or None, exist_ok=True).repo_id
    commit = api.upload_folder(
        repo_id=name, folder_path=str(folder), commit_message="Upload a SOC model with its code"
    )
    return commit.commit_url


def check_repository(name: str) -> None:
    """Refuse what is no id of a repository, before anything is written or sent."""
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ValueError(f"{name!r} is no id of a repository, such as 'owner/name': {error}") from None


def find_model(model: str | Path) -> Path:
    """Folder of a model that is given by its folder, or by the name of a bundled checkpoint."""
    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(bundled_checkpoint(str(model)))
    except ValueError:
        raise FileNotFoundError(
            f"There is no folder '{model}', and no bundled checkpoint of this name. A model of the Hub must be "
            "downloaded first: `hf download OWNER/NAME --local-dir DIR`."
        ) from None


def _check_output(source: Path, output: Path, overwrite: bool) -> None:
    inner, outer = output.resolve(), source.resolve()
    if inner == outer or inner in outer.parents:
        raise FileExistsError(f"'{output}' holds the model itself: give another folder as the output.")
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not overwrite:
        raise FileExistsError(f"'{output}' exists already: give a new or empty folder, or --overwrite.")
    if not (output / CONFIG).is_file():
        raise FileExistsError(f"'{output}' holds something other than a model and is not replaced: remove it first.")


def check_model(source: Path) -> None:
    """Refuse a folder that could not be loaded: before the copy, and without reading the values of the weights."""
    for name, purpose in ((CONFIG, "configuration"), (PROCESSOR, "processor"), ("tokenizer_config.json", "tokenizer")):
        if not (source / name).is_file():
            raise FileNotFoundError(f"'{source}' has no {name}: save the model's {purpose} there first.")
    if _read(source / CONFIG).get("model_type") != SocConfig.model_type:
        raise ValueError(f"'{source}' holds no SOC or SOC++ model: `model_type` in its {CONFIG} is another.")
    weights = sorted(source.glob(WEIGHTS[0]))
    if not weights:
        pickled = [path.name for pattern in PICKLED for path in source.glob(pattern)]
        reason = f"only {pickled[0]}, which would have to be unpickled" if pickled else "no weights"
        raise FileNotFoundError(f"'{source}' has {reason}: save the model as safetensors with `save_pretrained`.")
    with torch.device("meta"):
        expected = SocModel(SocConfig.from_pretrained(source)).state_dict()
    found = dict(entry for path in weights for entry in _shapes(path))
    wrong = sorted(
        name
        for name in expected.keys() | found.keys()
        if found.get(name) != [*getattr(expected.get(name), "shape", ())]
    )
    if wrong:
        raise ValueError(
            f"The weights in '{source}' do not fit its {CONFIG}: '{wrong[0]}' is missing, unexpected or of another "
            f"shape, one of {len(wrong)} tensors."
        )


def _shapes(path: Path) -> Iterator[tuple[str, list[int]]]:
    """Name and shape of each tensor of a safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():
                yield name, list(file.get_slice(name).get_shape())
    except SafetensorError:
        raise ValueError(f"'{path}' is damaged: copy it anew.") from None


def _copy_model(source: Path, folder: Path) -> None:
    """Copy the files of a model, with the names of the classes that the folder's own code has."""
    for path in _matches(source, [*WEIGHTS, *TOKENIZER, *DOCUMENTS]):
        target = folder / path.relative_to(source)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)
    config = _without_local_keys(_read(source / CONFIG))
    config["auto_map"] = {"AutoConfig": _reference(SocConfig), "AutoModel": _reference(SocModel)}
    pipeline = {"impl": _reference(ReferringVideoSegmentationPipeline), "pt": ["AutoModel"], "type": "multimodal"}
    config["custom_pipelines"] = {TASK: pipeline}
    processor = _without_local_keys(_read(source / PROCESSOR))
    processor["auto_map"] = {"AutoProcessor": _reference(SocProcessor)}
    processor["video_processor"]["auto_map"] = {"AutoVideoProcessor": _reference(SocVideoProcessor)}
    tokenizer = _without_local_keys(_read(source / "tokenizer_config.json"))
    for name, content in ((CONFIG, config), (PROCESSOR, processor), ("tokenizer_config.json", tokenizer)):
        (folder / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _matches(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"'{path}' is not a JSON object: save the model anew.")
    return content


def _without_local_keys(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a JSON file without what it says about the machine on which it was saved."""
    kept = {name: value for name, value in content.items() if name not in LOCAL_KEYS}
    return {name: _without_local_keys(value) if isinstance(value, dict) else value for name, value in kept.items()}


def _reference(kind: type) -> str:
    """A class as `auto_map` names it: module and class."""
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"


def _write_card(folder: Path, name: str) -> None:
    """Add to the card of the model how the folder is loaded; where there is none, write a short one."""
    if (folder / CARD).is_file():
        card = ModelCard.load(folder / CARD)
    else:
        data = ModelCardData(library_name="transformers", pipeline_tag="mask-generation")
        card = ModelCard(
            f"---\n{data.to_yaml()}\n---\n\n# {name}\n\nA model for referring video object segmentation.\n"
        )
    card.data.tags = list(dict.fromkeys([*(card.data.tags or []), *CARD_TAGS]))
    if LOADING.splitlines()[0] not in card.text.splitlines():
        card.text = card.text.rstrip() + "\n\n" + LOADING
    card.save(folder / CARD)


LOADING = f'''## Load this folder

With the package `transformers-soc`, no code of this folder runs:

```python
import transformers_soc
from transformers import AutoModel, AutoProcessor, pipeline

segment = pipeline("{TASK}", model="path/to/this/folder")
result = segment("clip.mp4", "the red circle")
model = AutoModel.from_pretrained("path/to/this/folder")
processor = AutoProcessor.from_pretrained("path/to/this/folder")
```

Without it, the copy of its code in this folder does the same, once you have read and trust it; `requirements.txt`
lists what it needs:

```python
from transformers import pipeline

segment = pipeline("{TASK}", model="path/to/this/folder", trust_remote_code=True)
result = segment("clip.mp4", "the red circle")
```

| call | after `import transformers_soc` | without the package |
| --- | --- | --- |
| the task alone | the package's code | refused with a ValueError |
| the task and `trust_remote_code=True` | the package's code | this folder's code |
| `trust_remote_code=True` alone | the package's model, this folder's pipeline | this folder's code |

`handler.py` serves the folder on Inference Endpoints; its docstring describes requests and answers.
'''

__all__ = ["check_model", "check_repository", "export_hub", "find_model", "push_folder"]
