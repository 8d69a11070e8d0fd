"""A Docker engine of its own, out of a folder with Debian trixie. All of it needs root.

It shares this machine's network, so the ports that containers publish must be free; its processes and what it mounts
end with it, and its bridges and rules are taken back.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.services.server import ServiceError, docker_engine, run, wait_until
from tests.services.trixie import WHOLE
from tests.walk import bare
from tests.walk.machine import LOGIN, PROXIES
from tests.walk.promises import Failure

NAME: Final = "engine"
PACKAGES: Final = "docker.io,docker-cli,docker-buildx,docker-compose,ca-certificates,iptables,iproute2"
PLUGINS: Final = "usr/libexec/docker/cli-plugins"
INTERFACES: Final = Path("/sys/class/net")
ENTER: Final = """\
set -e
root=$1 folder=$2
mount --bind "$root" "$root"
mkdir -p "$root$folder"
mount --bind "$folder" "$root$folder"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
cat /etc/resolv.conf > "$root/etc/resolv.conf"
cd "$root"
pivot_root . mnt
umount --lazy /mnt
cd /
exec tini -- dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" \
  --host "unix://$folder/docker.sock"
"""
"""`pivot_root`, not `chroot`: `docker exec` enters a container by the root of its namespace of mounts."""
FORWARDING: Final = Path("/proc/sys/net/ipv4/ip_forward")
OWN: Final = re.compile(r"\b(?:DOCKER|docker0|br-)")
"""In every rule that an engine makes. Others may be made by others meanwhile."""


class Engine:
    """One that keeps its data in `folder` and runs until `stop`."""

    def __init__(self, folder: Path) -> None:
        if docker_engine() is not None:
            raise Failure("an engine runs on this machine, and the two would share bridges and rules: stop it first")
        self.folder = folder
        self._root = bare.made(NAME, "trixie", PACKAGES)
        self._log = (folder / "engine.log").open("wb")
        self._process: subprocess.Popen[bytes] | None = None
        self._interfaces = set(INTERFACES.iterdir())
        self._forwarding = FORWARDING.read_text()

    def start(self) -> str:
        """Returns when it answers, with its version."""
        bin_, configuration = self.folder / "bin", self.folder / "client"
        bin_.mkdir()
        configuration.mkdir()
        (bin_ / "docker").symlink_to(self._root / "usr/bin/docker")
        told = {"cliPluginsExtraDirs": [f"{self._root}/{PLUGINS}"], "proxies": {"default": _proxies()}}
        (configuration / "config.json").write_text(json.dumps(told))
        self._process = subprocess.Popen(
            [*WHOLE, "sh", "-c", ENTER, "sh", str(self._root), str(self.folder)],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, env=os.environ | LOGIN,
        )  # fmt: skip
        if not wait_until(self._answers, 60):
            words = (self.folder / "engine.log").read_text(errors="replace")[-600:]
            raise Failure(f"the engine does not start; it said:\n{words}")
        return self.docker("version", "--format=engine {{.Server.Version}}") + ", " + self.docker("compose", "version")

    def shell(self, line: str, place: Path, within: float = 300) -> str:
        """What a line of bash says, done in a folder; `docker` there is the client of this engine."""
        mine = LOGIN | {
            "PATH": f"{self.folder}/bin:{LOGIN['PATH']}",
            "DOCKER_HOST": f"unix://{self.folder}/docker.sock",
            "DOCKER_CONFIG": str(self.folder / "client"),
        }
        try:
            return run(["bash", "-euo", "pipefail", "-c", f"cd {shlex.quote(str(place))}\n{line}"], within, mine)
        except ServiceError as error:
            raise Failure(f"{line}: {error}") from None

    def docker(self, *words: str, within: float = 60) -> str:
        """What `docker` with these words says."""
        return self.shell(shlex.join(["docker", *words]), Path("/"), within).strip()

    def stop(self) -> None:
        """Ends it and all that it runs, and puts the machine's network back."""
        if self._process is not None:
            self._process.kill()  # and with it the first process of its namespace, so all of them
            self._process.wait(30)
            for added in set(INTERFACES.iterdir()) - self._interfaces:
                if OWN.match(added.name):
                    subprocess.run([*self._inside("ip"), "link", "delete", added.name], check=False)
            for family in ("iptables", "ip6tables"):
                rules = cleaned(run(self._inside(f"{family}-save"), 30), refusing=self._forwarding.strip() == "0")
                subprocess.run(self._inside(f"{family}-restore"), input=rules.encode(), check=False)
            FORWARDING.write_text(self._forwarding)
        self._log.close()

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise Failure(f"the engine ended: {(self.folder / 'engine.log').read_text(errors='replace')[-600:]}")
        try:
            self.docker("version", within=10)
        except Failure:
            return False
        return True

    def _inside(self, program: str) -> list[str]:
        return ["chroot", str(self._root), f"/usr/sbin/{program}"]


def cleaned(rules: str, *, refusing: bool) -> str:
    """The machine's rules without an engine's. Where nothing was forwarded before, it has set a policy, too."""
    others = "".join(f"{rule}\n" for rule in rules.splitlines() if not OWN.search(rule))
    return others.replace(":FORWARD DROP", ":FORWARD ACCEPT") if refusing else others


def _proxies() -> Mapping[str, str]:
    """This machine's, as the client's configuration calls them."""
    names = {"http_proxy": "httpProxy", "https_proxy": "httpsProxy", "no_proxy": "noProxy"}
    return {names[name.lower()]: os.environ[name] for name in PROXIES if name in os.environ}
