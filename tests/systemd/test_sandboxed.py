"""The sandbox of the unit holds, and the program works in it: quarantine within a root, a network on the processor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deepdupe_daemon.act import Kind
from tests.service.pictures import photo, save
from tests.systemd.installed import PROGRAM, UNIT, Installed

Eventually = Callable[..., None]

#: what an intruder in the service would try, each with the answer "no" or what it got
PROBE = """\
import ctypes, os, socket, subprocess, sys
def attempt(name, deed):
    try:
        got = deed()
    except BaseException as no:
        print(f"{name}: no ({type(no).__name__})")
    else:
        print(f"{name}: GOT {got!r}")
attempt("write /etc", lambda: open("/etc/intruder", "w"))
attempt("write /usr", lambda: open("/usr/intruder", "w"))
attempt("write a watched folder", lambda: open("/srv/photos/intruder", "w"))
attempt("remove a photo", lambda: os.unlink("/srv/photos/bait.png"))
attempt("write beside it", lambda: open("/srv/intruder", "w"))
attempt("write another home", lambda: open("/home/carl/intruder", "w"))
attempt("read another home", lambda: open("/home/carl/secret").read())
attempt("read root's home", lambda: open(os.path.expanduser("~root/secret")).read())
attempt("read shadow", lambda: open("/etc/shadow").read())
attempt("connect", lambda: socket.create_connection(("127.0.0.1", 22), 1))
attempt("a TCP socket", lambda: socket.socket(socket.AF_INET))
attempt("a netlink socket", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt("a raw packet socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("unshare", lambda: ctypes.CDLL(None, use_errno=True).unshare(0x10000000) == 0 or 1 / 0)
attempt("setuid root", lambda: os.setuid(0))
attempt("a setuid file", lambda: os.chmod(sys.argv[1], 0o4755))
attempt("a device node", lambda: os.mknod("/tmp/node", 0o20666, os.makedev(1, 1)))
attempt("a signal to systemd", lambda: os.kill(1, 0))
attempt("see other processes", lambda: [p for p in os.listdir("/proc") if p.isdigit() and open(f"/proc/{p}/status")
                                        .read().count("journald")][0])
attempt("mount", lambda: ctypes.CDLL(None, use_errno=True).mount(b"x", b"/mnt", b"tmpfs", 0, None) == 0 or 1 / 0)
attempt("the kernel's settings", lambda: open("/proc/sys/kernel/core_pattern", "w"))
attempt("gain privileges", lambda: subprocess.run(["su", "-c", "id"], check=True, capture_output=True))
open(sys.argv[1], "w").write("state may be written")
print("done")
"""


def test_an_intruder_in_the_service_gets_nothing(service: Installed, tmp_path: Path) -> None:
    """The same unit, drop-ins and all, with another program: what the sandbox denies, it denies to any code in it."""
    service.drop(save(photo(9), tmp_path / "bait.png"), "/srv/photos/bait.png")
    service.write("/home/carl/secret", "secret", mode=0o644)
    service.write("/root" + "/secret", "secret", mode=0o644)
    service.write("/srv/probe.py", PROBE)
    service.write(
        f"/run/systemd/system/{UNIT}.d/probe.conf",
        "[Service]\nType=oneshot\nExecStart=\nRestart=no\n"
        f"ExecStart={PROGRAM}/bin/python /srv/probe.py /var/lib/deepdupe-daemon/probe\n",
    )
    service.systemctl("stop", UNIT)
    service.systemctl("daemon-reload")
    try:
        service.systemctl("start", UNIT)
        said = [str(entry["MESSAGE"]) for entry in service.journal("-u", UNIT, "_TRANSPORT=stdout")]
    finally:
        service.box.path(f"/run/systemd/system/{UNIT}.d/probe.conf").unlink()
        service.systemctl("daemon-reload")
        service.systemctl("start", UNIT)
    attempts = [line for line in said if ": no (" in line or ": GOT " in line]
    assert "done" in said, said
    assert len(attempts) == PROBE.count("\nattempt(")
    assert [line for line in attempts if "GOT" in line] == []
    assert service.box.path("/var/lib/deepdupe-daemon/probe").read_text() == "state may be written"
    assert service.box.path("/srv/photos/bait.png").exists()


@pytest.mark.nightly
def test_a_duplicate_is_quarantined_within_its_root_and_restored(
    service: Installed, tmp_path: Path, eventually: Eventually
) -> None:
    made = save(photo(7), tmp_path / "seven.png")
    service.drop(made, "/srv/photos/seven.png")
    shown = "/srv/photos/seven.png"
    eventually(lambda: shown in service.program("why", shown, check=False), timeout_s=60)
    service.drop(made, "/srv/sorted/again.png")
    # a while after the arrival, since the other files of a shot may come late
    eventually(lambda: not service.box.path("/srv/sorted/again.png").exists(), timeout_s=240)
    (told,) = service.told(Kind.QUARANTINED.message_id, "/srv/sorted/again.png")
    held = [path for path in service.box.path("/srv/sorted/.deepdupe-quarantine").rglob("*") if path.suffix == ".png"]
    assert [path.read_bytes() for path in held] == [made.read_bytes()]
    (row,) = [json.loads(line) for line in service.program("quarantine", "list", "--json").splitlines()]
    service.program("quarantine", "restore", str(row["action_id"]))
    assert service.box.path("/srv/sorted/again.png").read_bytes() == made.read_bytes()
    assert told["PRIORITY"] == "5"


@pytest.mark.nightly
def test_a_network_runs_on_the_processor_under_the_sandbox(
    service: Installed, tmp_path: Path, eventually: Eventually
) -> None:
    torch = pytest.importorskip("torch")
    from tests.vision.networks import save_torchscript

    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 5, stride=4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten()
    )
    weights = save_torchscript(network, torch.zeros(1, 3, 64, 64), tmp_path / "net.pt")
    service.drop(weights, "/srv/net.pt")
    service.write(
        "/etc/deepdupe-daemon/net.yaml",
        "roots: [{path: /srv/netted}]\nstate_dir: /var/lib/deepdupe-daemon/net\n"
        "models: [{name: tiny, backend: torchscript, weights: /srv/net.pt, device: cpu, input_px: 64,"
        " mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], threshold: 0.9}]\n",
    )
    for name in ("one", "two"):
        target = service.box.path(f"/srv/netted/{name}.png")
        target.parent.mkdir(exist_ok=True)
    service.drop(save(photo(3), tmp_path / "three.png"), "/srv/netted/one.png")
    unit = "deepdupe-daemon@net.service"
    try:
        service.systemctl("start", unit)
        assert "tiny" in service.systemctl("show", unit, "-p", "StatusText")
        eventually(lambda: "1 files known" in service.systemctl("show", unit, "-p", "StatusText"), timeout_s=60)
        service.drop(save(photo(3), tmp_path / "again.jpg", quality=85), "/srv/netted/two.jpg")
        eventually(lambda: service.told(Kind.DUPLICATE_FOUND.message_id, "/srv/netted/two.jpg"), timeout_s=60)
        (alert,) = service.told(Kind.DUPLICATE_FOUND.message_id, "/srv/netted/two.jpg")
        assert alert["DEEPDUPE_SPACE"] == "tiny.final"
        assert alert["_SYSTEMD_UNIT"] == unit
    finally:
        service.systemctl("stop", unit)
