# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Build sdist and wheel, look into them, and use the wheel in an empty environment, outside of the checkout.

    python tools/check_package.py
    python tools/check_package.py --fresh

The environment holds the wheel alone and sees the other packages of the interpreter that runs this script, so that
nothing is downloaded. With `--fresh` it sees none, and pip installs all that the wheel asks for.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAX_WHEEL_BYTES = 20_000_000
# The bundled models are the only files of the wheel that may be large or no text.
MODELS = "transformers_soc/checkpoints/"
MODEL_FILES = {".json", ".md", ".png", ".safetensors"}
MAX_FILE_BYTES = 100_000
# Where the wheel's files come from: folder in the wheel -> folder in the checkout, the longest first.
SOURCES = {"transformers_soc/scripts": "examples", "transformers_soc": "src/transformers_soc"}
# Long enough for a small model on generated clips, short enough for a test.
CLIPS = ["--cpu", "--data-options", '{"num_frames": 4, "height": 64, "width": 96}']
TRAIN = [*CLIPS, "--dataset", "moving_shapes", "--num-train-videos", "4", "--validation-split", "none"]
TRAIN += ["--max-train-steps", "2", "--logging-steps", "1"]
WHERE = """
import sys
import transformers_soc, transformers_soc.scripts, transformers_soc_cli
for module in (transformers_soc, transformers_soc.scripts, transformers_soc_cli):
    assert module.__file__.startswith(sys.prefix), f"{module.__file__} is not of the wheel"
print(transformers_soc.bundled_checkpoint())
"""


def build(output: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from it; return their paths."""
    # The setuptools of this interpreter build, so that nothing is fetched.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the package does not build:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return next(output.glob("*.tar.gz")), next(output.glob("*.whl"))


def tracked_files() -> set[str]:
    """Paths of the checkout's files that belong to the project; a new file counts before it is committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.splitlines() if (ROOT / name).is_file()}


def check_wheel(wheel: Path, tracked: set[str]) -> None:
    """Check that the wheel holds all files of the package and no other, no binaries, and is small."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        for name in archive.namelist():
            check_content(name, archive.read(name))
    expected = {"transformers_soc_cli.py"}
    for target, source in SOURCES.items():
        expected |= {target + name.removeprefix(source) for name in tracked if name.startswith(source + "/")}
    if names != expected:
        sys.exit(f"the wheel lacks {sorted(expected - names)} and should not hold {sorted(names - expected)}")
    if wheel.stat().st_size > MAX_WHEEL_BYTES:
        sys.exit(f"the wheel has {wheel.stat().st_size:,} bytes, more than {MAX_WHEEL_BYTES:,}")


def check_content(name: str, content: bytes) -> None:
    """Check that a file of the wheel is a short text, or belongs to a bundled model."""
    if name.startswith(MODELS):
        if Path(name).suffix not in MODEL_FILES:
            sys.exit(f"the wheel's {name} is no file of a model, which are {', '.join(sorted(MODEL_FILES))}")
    elif len(content) > MAX_FILE_BYTES:
        sys.exit(f"the wheel's {name} has {len(content):,} bytes, more than {MAX_FILE_BYTES:,}")
    elif b"\0" in content:
        sys.exit(f"the wheel's {name} is no text")


def check_sdist(sdist: Path, tracked: set[str]) -> None:
    """Check that the sdist holds the sources, tests and documents, and nothing that is not of the project."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    made = {name for name in names if ".egg-info/" in name or name == "PKG-INFO"}
    needed = {name for name in tracked if name.split("/")[0] in ("src", "examples", "tests", "docs", "tools")}
    needed |= {"LICENSE", "README.md", "setup.cfg", "pyproject.toml", "constraints.txt", "Makefile"}
    if not needed <= names or not names - made <= tracked:
        sys.exit(f"the sdist lacks {sorted(needed - names)} and should not hold {sorted(names - made - tracked)}")


def make_environment(folder: Path, wheel: Path, fresh: bool) -> Path:
    """Install the wheel in a new environment and return the folder of its programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--disable-pip-version-check"]
    ours = Path(sysconfig.get_path("purelib"))
    theirs = folder / ours.relative_to(sys.prefix)
    if fresh:
        pip += ["-c", str(ROOT / "constraints.txt")]
    else:
        pip += ["--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    if not fresh:
        # A folder named in a .pth file is searched, but its own .pth files, and so our editable install, are not read.
        (theirs / "borrowed.pth").write_text(f"{ours}\n")
    for hook in ("_torchvision_cpu.py", "_torchvision_cpu.pth"):
        if (ours / hook).exists():
            shutil.copy(ours / hook, theirs / hook)
    return folder / "bin"


def use(programs: Path, folder: Path) -> None:
    """Run the command and the scripts of the wheel in an empty folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = kept | {"HF_HUB_OFFLINE": "1", "PATH": f"{programs}:{os.environ['PATH']}"}

    def run(*command: str) -> str:
        print("$", *command, flush=True)
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{command[0]} ended with exit code {done.returncode}:\n{done.stdout}{done.stderr[-3000:]}")
        return done.stdout

    model = run("python", "-c", WHERE).strip()
    run("transformers-soc", "--help")
    run("transformers-soc", "info", "--model", model)
    print(run("transformers-soc", "demo"))
    run("transformers-soc", "train", *TRAIN, "--model", model, "--output", "out")
    run("transformers-soc", "evaluate", *CLIPS, "--num-videos", "2", "--model", "out/last", "--output", "scores")
    missing = [
        name for name in ("demo/overlay.mp4", "out/log.jsonl", "scores/results.json") if not (folder / name).exists()
    ]
    if missing:
        sys.exit(f"not written: {', '.join(missing)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).strip().split("\n\n")[0])
    parser.add_argument("--fresh", action="store_true", help="install the dependencies anew")
    fresh = parser.parse_args().fresh
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sdist, wheel = build(folder / "dist")
        tracked = tracked_files()
        check_wheel(wheel, tracked)
        check_sdist(sdist, tracked)
        for file in (sdist, wheel):
            print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")
        programs = make_environment(folder / "environment", wheel, fresh)
        (folder / "empty").mkdir()
        use(programs, folder / "empty")
    print("the wheel works outside of the checkout")


if __name__ == "__main__":
    main()
