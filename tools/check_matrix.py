# Copyright 2026 The transformers-soc authors. Licensed under the Apache License, Version 2.0.
# SPDX-License-Identifier: Apache-2.0
"""
Run the tests against other versions of Python, torch and what else the package needs, one environment at a time.

    python tools/check_matrix.py                                       # all cells, all tests
    python tools/check_matrix.py oldest --tests tests/test_package.py  # one of them, and fewer tests

  oldest   Python 3.11 and exactly the lower bounds of setup.cfg
  tested   Python 3.11 and constraints.txt
  newest   the newest Python that runs here, pyenv's among them, and the newest version of everything

Environments are made under build/matrix with what pip downloads, and deleted after. A cell for which less than 10 GB
of the disk are free is skipped, and said to be.
"""

import argparse
import configparser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "matrix"
NEEDED_BYTES = 10 * 10**9
OLDEST_TORCHVISION = "0.25.0"  # that of torch 2.10; torchvision has no bound of its own
# Extras whose packages the tests use.
EXTRAS = ("eval", "train", "test")
VERSIONS = (
    "import platform as p, torch, transformers; print(p.python_version(), torch.__version__, transformers.__version__)"
)
CELLS = ("oldest", "tested", "newest")


def lowest_versions() -> Iterator[str]:
    """A constraint to each lower bound of setup.cfg, of what is needed and of the tests."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    entries = "\n".join([setup["options"]["install_requires"], *(extras[name] for name in EXTRAS)])
    for name, bound in sorted(set(re.findall(r"^([\w-]+)(?:\[\w+\])?>=([\d.]+)", entries, re.MULTILINE))):
        yield f"{name}=={bound}"
    yield f"torchvision=={OLDEST_TORCHVISION}"


def find_python(newest: bool) -> str | None:
    """The program of Python 3.11, or of the newest Python from 3.11 on; a shim of pyenv may lead nowhere."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for minor in range(20, 10, -1) if newest else (11,):
        name = f"python3.{minor}"
        found = [shutil.which(name), *sorted(pyenv.glob(f"versions/*/bin/{name}"), reverse=True)]
        for path in [path for path in found if path]:
            if subprocess.run([path, "-c", "import venv, ssl"], capture_output=True, check=False).returncode == 0:
                return str(path)
    return None


def make_environment(cell: str, python: str, folder: Path) -> Path:
    """Install the package with its test tools; returns the environment's Python."""
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    inside = folder / "bin" / "python"
    subprocess.run([inside, "-m", "pip", "install", "-q", "--disable-pip-version-check", "uv"], check=True)
    # pip does not find the lowest versions that go together in any useful time.
    install = [str(folder / "bin" / "uv"), "pip", "install", "-q", "--python", str(inside)]
    install += ["--only-binary", ":all:", "--no-binary", "transformers-soc"]
    if cell == "tested":
        install += ["-c", str(ROOT / "constraints.txt")]
    if cell == "oldest":
        constraints = folder / "lowest.txt"
        constraints.write_text("\n".join(lowest_versions()) + "\n")
        install += ["-c", str(constraints)]
    subprocess.run([*install, "-e", f"{ROOT}[test]"], check=True)
    if subprocess.run([inside, "-c", "import torchvision"], capture_output=True, check=False).returncode:
        site = next(folder.glob("lib/python*/site-packages"))
        shutil.copy(ROOT / "tools" / "torchvision_cpu.py", site / "_torchvision_cpu.py")
        (site / "_torchvision_cpu.pth").write_text("import _torchvision_cpu\n")
    return inside


def run_cell(cell: str, tests: list[str]) -> str:
    """Make the environment of a cell, run the tests in it, delete it, and say how it went."""
    python = find_python(newest=cell == "newest")
    if python is None:
        return "skipped: no Python of this version was found"
    FOLDER.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(FOLDER).free
    if free < NEEDED_BYTES:
        return f"skipped: {free / 1e9:.0f} GB of the disk are free, and {NEEDED_BYTES / 1e9:.0f} are needed"
    folder = FOLDER / cell
    shutil.rmtree(folder, ignore_errors=True)
    try:
        inside = make_environment(cell, python, folder)
        versions = subprocess.run([inside, "-c", VERSIONS], capture_output=True, text=True, check=True).stdout.split()
        print(f"{cell}: Python {versions[0]}, torch {versions[1]}, transformers {versions[2]}", flush=True)
        done = subprocess.run([inside, "-m", "pytest", "-q", "-n", "2", *tests], cwd=ROOT, check=False)
    except subprocess.CalledProcessError as error:
        return f"failed: {error}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    verdict = "passed" if done.returncode == 0 else f"failed: pytest ended with {done.returncode}"
    return f"{verdict} (Python {versions[0]}, torch {versions[1]}, transformers {versions[2]})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", choices=[*CELLS, []], help="default: all")
    parser.add_argument("--tests", nargs="+", default=["tests"], help="default: all")
    options = parser.parse_args()
    verdicts = {}
    for cell in options.cells or CELLS:
        verdicts[cell] = run_cell(cell, options.tests)
        print(f"{cell}: {verdicts[cell]}", flush=True)
    print("\n".join(["", *(f"{cell:8} {verdict}" for cell, verdict in verdicts.items())]))
    sys.exit(any(verdict.startswith("failed") for verdict in verdicts.values()))


if __name__ == "__main__":
    main()
