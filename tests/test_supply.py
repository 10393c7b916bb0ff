# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""What we ship runs no foreign code: read from the syntax tree. The import of the package does nothing but import."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = sorted(path for folder in ("src", "examples", "spaces_demo") for path in (ROOT / folder).rglob("*.py"))
UNPICKLER = ROOT / "src" / "transformers_soc" / "data" / "refcoco.py"
# Modules that unpickle, or run what they read.
UNPICKLING = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
SWITCHES = {"shell", "allow_pickle"}
SAFE_YAML = {"safe_load", "safe_dump", "YAMLError"}
EXAMPLES = """
import pickle
from dill import loads
eval(text)
builtins.exec(text)
subprocess.run(text, shell=True)
subprocess.run(text, shell=chosen)
os.system(text)
yaml.load(text)
from yaml import load
torch.load(path)
torch.load(path, weights_only=False)
numpy.load(path, allow_pickle=True)
"""


def dangers(code: str) -> Iterator[str]:
    """The places where code would unpickle, evaluate text, start a shell, or load what runs."""
    for node in ast.walk(ast.parse(code)):
        text = ast.unparse(node) if isinstance(node, ast.expr | ast.Import | ast.ImportFrom | ast.keyword) else ""
        found = (
            (isinstance(node, ast.Import) and {name.name.partition(".")[0] for name in node.names} & UNPICKLING)
            or (isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in UNPICKLING | {"yaml"})
            or (isinstance(node, ast.Name) and text in ("eval", "exec"))
            or text in SHELLS | {"builtins.eval", "builtins.exec"}
            or (isinstance(node, ast.Attribute) and text.startswith("yaml.") and node.attr not in SAFE_YAML)
            or (
                isinstance(node, ast.keyword) and node.arg in ("shell", "allow_pickle") and not text.endswith("=False")
            )
            or (isinstance(node, ast.Call) and text.startswith("torch.load(") and "weights_only=True" not in text)
        )
        if found:
            yield f"line {getattr(node, 'lineno', 0)}: {text}"


@pytest.mark.parametrize("line", EXAMPLES.strip().splitlines())
def test_dangers_are_seen(line: str):
    assert list(dangers(line))


@pytest.mark.parametrize("line", ["model.eval()", "yaml.safe_load(text)", "torch.load(path, weights_only=True)"])
def test_what_is_harmless_passes(line: str):
    assert not list(dangers(line))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_foreign_code_is_run(path: Path):
    allowed = 1 if path == UNPICKLER else 0  # its `import pickle`; what it makes of it, the next test says
    assert len(list(dangers(path.read_text(encoding="utf-8")))) == allowed, list(dangers(path.read_text()))


def test_the_only_unpickler_refuses_all_code():
    """`pickle` is used for one class, whose `find_class` only raises, and for the name of an error."""
    tree = ast.parse(UNPICKLER.read_text(encoding="utf-8"))
    names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {name for name in names if name.startswith("pickle.")} == {"pickle.Unpickler", "pickle.UnpicklingError"}
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    (unpickler,) = [node for node in classes if [ast.unparse(base) for base in node.bases] == ["pickle.Unpickler"]]
    (method,) = [node for node in unpickler.body if isinstance(node, ast.FunctionDef)]
    assert method.name == "find_class" and [type(node) for node in method.body] == [ast.Raise]


# Python tells its audit hooks what it is about to do; a hook cannot be taken off again.
WATCHED_IMPORT = """
import os, socket, sys, tempfile, threading
import torch
from transformers import AutoBackbone, AutoModel, AutoProcessor, PreTrainedModel, pipeline
from transformers.models.auto.video_processing_auto import AutoVideoProcessor
from transformers.pipelines import PIPELINE_REGISTRY, Pipeline
from transformers.processing_utils import ProcessorMixin
from transformers.video_processing_utils import BaseVideoProcessor

CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate")
STARTS = ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec", "os.system")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
phase = "import"

def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
    if writes or event.startswith("socket.") or event in (*CHANGES, *STARTS, "os.putenv", "os.unsetenv"):
        print(phase, event, flush=True)

def start(thread, start=threading.Thread.start):
    print(phase, "thread", flush=True)
    start(thread)

sys.addaudithook(watch)
threading.Thread.start = start
tasks = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
environment = dict(os.environ)
import transformers_soc, transformers_soc_cli
if tasks and len(os.listdir("/proc/self/task")) != tasks or dict(os.environ) != environment:
    print("import changed the threads or the environment")
phase = "after"
os.environ["SOC_WATCHED"] = "1"
socket.socket().close()
threading.Thread(target=len, args=[()]).start()
tempfile.TemporaryFile().close()
"""


def test_import_does_nothing_but_import(tmp_path: Path):
    """No file written, no thread or program started, no variable changed, no socket made; that these are seen, too."""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED_IMPORT], capture_output=True, text=True, check=True, env=environment
    )
    lines = done.stdout.split("\n")
    assert [line for line in lines if line.startswith("import")] == []
    for event in ("os.putenv", "socket.__new__", "thread", "open"):
        assert f"after {event}" in lines
