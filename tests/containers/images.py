"""The images that deploy/ names, made of Debian's packages, and what is to be seen in ours."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.containers.engine import Engine
from tests.deploy.reading import DEPLOY, ROOT, compose
from tests.services.server import run
from tests.walk import bare
from tests.walk.promises import Failure

HERE: Final = Path(__file__).parent
RELEASE: Final = "trixie"
LOOK: Final = """\
import json, os, re, sys
from importlib.metadata import distributions
def found(root):
    for folder, folders, files in os.walk(root):
        yield from (os.path.join(folder, name) for name in folders + files)
own, own_path = list(found('/opt/kb-ingest')), [path for path in sys.path if path.startswith('/opt/kb-ingest')]
print(json.dumps({
    'installed': {re.sub('[-_.]+', '-', one.name).lower(): one.version for one in distributions(path=own_path)},
    'pip': [path for path in [*own, *found('/usr/local')] if os.path.basename(path) == 'pip'],
    'writable': [path for path in own if not os.path.islink(path) and os.access(path, os.W_OK)],
    'left': [path for path in own if os.path.basename(path) in ('.git', '.env')] + [*found('/src')],
}))
"""
"""What a program of ours sees of its image."""


def named() -> Mapping[str, str]:
    """The names of all images that ours and the compose file are made of, by what they are."""
    containerfile = (DEPLOY / "Containerfile").read_text()
    (python,) = re.findall(r"^ARG PYTHON=(\S+)$", containerfile, re.MULTILINE)
    servers = {str(one["image"]) for one in compose()["services"].values() if "KB_IMAGE" not in one["image"]}
    return {name.partition(":")[0].rpartition("/")[2]: name for name in [f"python:{python}", *servers]}


def stand_ins(engine: Engine) -> Iterator[str]:
    """Makes one under each name, and says which is made."""
    root = engine.folder / "bare"
    run(["cp", "--archive", str(bare.made("image", RELEASE, "ca-certificates")), str(root)], 120)
    settings = bare.pip_settings()
    bare.furnish(root, {name: value for name, value in settings.items() if not bare.places({name: value})})
    run(["chroot", str(root), "/usr/sbin/update-ca-certificates"], 60)
    engine.shell(f"tar --directory {root} --create . | docker import - bare", HERE, 120)
    shutil.rmtree(root)
    (engine.folder / "empty").mkdir()
    for what, name in named().items():
        engine.docker("build", f"--target={what}", f"--tag={name}", f"--file={HERE}/Containerfile",
                      str(engine.folder / "empty"), within=300)  # fmt: skip
        yield name


def inspected(engine: Engine, image: str) -> str:
    """Ours is small, its code is one layer, and what runs in it is nobody who could change it."""
    (own,) = json.loads(engine.docker("image", "inspect", image))
    (base,) = json.loads(engine.docker("image", "inspect", named()["python"]))
    ask = ["history", "--no-trunc", "--format={{json .}}", "--human=false", image]
    history = [json.loads(line) for line in engine.docker(*ask).splitlines()]
    ask[-1] = named()["python"]
    upper = history[: len(history) - len(engine.docker(*ask).splitlines())]
    layers = [one["CreatedBy"] for one in upper if int(one["Size"]) > 10_000]
    if len(layers) != 1 or not layers[0].startswith("COPY /opt/kb-ingest "):
        raise Failure(f"its code is not in one layer: {layers}")
    alone = ["--rm", "--read-only", "--cap-drop=ALL", "--network=none", "--security-opt=no-new-privileges"]
    if "Usage" not in engine.docker("run", *alone, image):
        raise Failure("on its own it does not say how it is used")
    seen = json.loads(engine.docker("run", *alone, "--entrypoint=/opt/kb-ingest/bin/python", image, "-c", LOOK))
    installed = seen.pop("installed")
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    other = {name: has for name, has in installed.items() if name != "kb-ingest" and pinned.get(name) != has}
    if wrong := {what: has for what, has in (seen | {"not pinned": other}).items() if has}:
        raise Failure(f"in the image: {wrong}")
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user := own["Config"]["User"]):
        raise Failure(f"it runs as {user or 'root'}")
    size = (own["Size"] - base["Size"]) / 1e6
    return (
        f"{size:.0f} MB above its base in one layer, {len(installed)} packages, runs read-only as {user}, without pip"
    )
