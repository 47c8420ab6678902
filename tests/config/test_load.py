"""Every wrong configuration gets its message: file, line, key, what was found, what is allowed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deepdupe_daemon.config import Config, load_config
from deepdupe_daemon.errors import ConfigError
from deepdupe_daemon.model import VerdictClass

Write = Callable[[str], Path]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "deepdupe.yaml"
        path.write_text(text)
        return path

    return write


def messages(path: Path, *, look_at_disk: bool = True) -> list[str]:
    """What the refusal says, a line each, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        load_config(path, look_at_disk=look_at_disk)
    lines = caught.value.what.split("\n")
    assert all(line.startswith(f"{path}:") for line in lines), lines
    assert caught.value.exit_code == 78
    return [line.removeprefix(f"{path}:") for line in lines]


def test_the_least_configuration_is_a_root_and_the_rest_are_defaults(write: Write, photos: Path) -> None:
    config = load_config(write(f"roots:\n  - path: {photos}\nstate_dir: {photos.parent}/state\n"))
    assert config == Config(
        roots=config.roots,
        state_dir=photos.parent / "state",
    )
    assert [root.path for root in config.roots] == [photos]
    assert [model.name for model in config.models] == ["pdq"]
    assert not (photos.parent / "state").exists(), "loading makes nothing"


def test_every_part_can_be_set(write: Write, photos: Path) -> None:
    config = load_config(
        write(
            f"""\
roots:
  - path: {photos}
    action: protected
    exclude: [raw/, '*.xmp']
state_dir: {photos.parent}/state
models:
  - name: clip-vit-l-14
    embedding: both
    threshold: 0.95
    precision: bf16
    device: cuda:1
  - name: pdq
match: [clip-vit-l-14.final, clip-vit-l-14.hidden]
intake: {{settle_s: 3, max_file_bytes: 500 MB}}
decoder: {{max_pixels: 200_000_000, memory_bytes: 1.5 GiB}}
chroma:
  mode: off
alerts:
  classes: [identical-bytes]
"""
        )
    )
    assert config.roots[0].action == "protected"
    assert config.match == ("clip-vit-l-14.final", "clip-vit-l-14.hidden")
    assert config.models[0].device == "cuda:1"
    assert config.intake.settle_s == 3.0
    assert config.intake.max_file_bytes == 500_000_000
    assert config.decoder.max_pixels == 200_000_000
    assert config.decoder.memory_bytes == 3 * 1024**3 // 2
    assert config.chroma.mode == "off", "off is a word here, not YAML 1.1's false"
    assert config.alerts.classes == (VerdictClass.IDENTICAL_BYTES,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("settle: 1", "1: settle: found an unknown key; allowed here: roots, state_dir,"),
        ("settle_s: 1", "(did you mean intake.settle_s?)"),
        ("intake:\n  settle: 1", "2: intake.settle: found an unknown key; allowed here: settle_s,"),
        ("intake:\n  settel_s: 1", "(did you mean settle_s?)"),
        ("intake:\n  settle_s: two", "2: intake.settle_s: found 'two'; allowed: a number from 0.05 to 3600"),
        ("intake:\n  settle_s: '2'", "2: intake.settle_s: found '2'; allowed: a number"),
        ("intake:\n  settle_s: .inf", "2: intake.settle_s: found inf; allowed: a number"),
        ("intake:\n  settle_s: true", "2: intake.settle_s: found true; allowed: a number"),
        ("decoder:\n\n  workers: 1.5", "3: decoder.workers: found 1.5; allowed: a whole number from 0 to 256"),
        ("decoder:\n  workers: -1", "2: decoder.workers: found -1; allowed: a whole number from 0 to 256"),
        ("decoder:\n  max_pixels: 0", "2: decoder.max_pixels: found 0; allowed: a whole number of at least 1"),
        ("decoder:\n  memory_bytes: 2 GO", "2: decoder.memory_bytes: found '2 GO'; allowed: a number of bytes"),
        ("decoder: 3", "1: decoder: found 3; allowed: a section with the keys workers, timeout_s"),
        ("decoder:", "1: decoder: found nothing; allowed: a section"),
        ("chroma:\n  mode: server", "1: chroma.url: found nothing; allowed with mode server"),
        ("chroma:\n  url: localhost", "2: chroma.url: found 'localhost'; allowed: an address such as http://"),
        ("judge:\n  related_alerts: yes", "2: judge.related_alerts: found 'yes'; allowed: true or false"),
        (
            "alerts:\n  to: jurnal",
            "2: alerts.to: found 'jurnal'; allowed: auto, journal or stderr (did you mean journal?)",
        ),
        (
            "alerts:\n  classes:\n    - edited\n    - copied",
            "4: alerts.classes[1]: found 'copied'; allowed: identical-bytes",
        ),
        ("match: some", "1: match: found 'some'; allowed: any, all or a list of texts"),
        ("match: {a: b}", "1: match: found a section with the keys a; allowed: any, all or a list of texts"),
        ("match: []", "1: match: found a list of 0; allowed: any, all or a list of texts"),
        ("match: [clip.final]", "1: match: found clip.final; allowed: spaces of the configured models"),
        ("models: []", "1: models: found a list of 0; allowed: a list of sections with the keys name,"),
        ("models:\n  - name: pdq\n  - name: pdq", "1: models: found pdq twice; allowed: each model once"),
        ("models:\n  - name: CLIP", "2: models[0].name: found 'CLIP'; allowed: a name of small letters"),
        ("models:\n  - weights: x.pt", "2: models[0]: found weights for pdq, which has no weights"),
        ("models:\n  - embedding: final", "2: models[0].embedding: found 'final'; allowed for pdq: hash or null"),
        (
            "models:\n  - name: a\n    device: gpu",
            "3: models[0].device: found 'gpu'; allowed: auto, cpu, cuda or cuda:N",
        ),
        (
            "models:\n  - name: a\n    threshold: 0",
            "3: models[0].threshold: found 0; allowed: a number above 0, at most 1",
        ),
        (
            "models:\n  - name: a\n    mean: [1, 2]",
            "3: models[0].mean: found a list of 2; allowed: a list of 3 numbers",
        ),
        (
            "models:\n  - name: a\n    mean: [123.7, 116.3, 103.5]\n    std: [0.2, 0.2, 0.2]",
            "3: models[0].mean: found [123.7, 116.3, 103.5]; allowed: three numbers from 0 to 1 (of 255: divide",
        ),
        (
            "models:\n  - name: a\n    mean: [0.5, 0.5, 0.5]\n    std: [58, 57, 57]",
            "4: models[0].std: found [58.0, 57.0, 57.0]; allowed: three numbers above 0, at most 1 (of 255: divide",
        ),
        ("models:\n  - name: a\n    mean: [0, 0, 0]", "2: models[0]: found one of mean and std; allowed: both"),
        ("intake:\n  exclude:\n    - '[a'", "3: intake.exclude[0]: found the glob '[a' with [ and no ]; allowed: \\["),
        (
            "intake:\n  include:\n    - #recycle",
            "3: intake.include[0]: found nothing; allowed: a text (a text that starts",
        ),
        (
            "intake:\n  include: []",
            "2: intake.include: found a list of 0; allowed: a list of texts with at least one item",
        ),
        ("quarantine:\n  folder: q", "2: quarantine.folder: found the relative path 'q'; allowed: an absolute path"),
        ("quarantine:\n  breaker:\n    most: 0", "3: quarantine.breaker.most: found 0; allowed: a whole number of at"),
        (
            "quarantine:\n  breaker:\n    most_share: 2",
            "3: quarantine.breaker.most_share: found 2; allowed: a number above 0, at most 1",
        ),
        (
            "quarantine:\n  retention_days: 0",
            "2: quarantine.retention_days: found 0; allowed: a number above 0 or null",
        ),
        ("hooks:\n  - events: [quarantined]", "2: hooks[0].command: found nothing; allowed: a list of texts"),
        (
            "hooks:\n  - command: [tell-me]",
            "2: hooks[0].command: found the program 'tell-me'; allowed: its absolute path, starting with /",
        ),
        (
            "hooks:\n  - command: [/bin/true]\n    events: [quarantine]",
            "3: hooks[0].events[0]: found 'quarantine'; allowed: duplicate-found, related-found, quarantined,",
        ),
        (
            "hooks:\n  - command: [/bin/true]\n    timeout_s: 0",
            "3: hooks[0].timeout_s: found 0; allowed: a number above 0, at most 3600",
        ),
        ("state_dir: state", "1: state_dir: found the relative path 'state'; allowed: an absolute path"),
        ("log_level: trace", "1: log_level: found 'trace'; allowed: debug, info, warning or error"),
    ],
)
def test_a_wrong_value_is_told_with_line_key_found_and_allowed(text: str, expected: str, write: Write) -> None:
    told = messages(write(f"{text}\nroots:\n  - path: /\n"), look_at_disk=False)
    assert len(told) == 1, told
    assert expected in told[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1: found an empty file; allowed: a section with the keys roots,"),
        ("- a", "1: found a list of 1; allowed: a section"),
        ("state_dir: /x", "roots: found nothing; allowed: a list of sections with the keys path"),
        ("roots:\n  - /srv", "2: roots[0]: found '/srv'; allowed: a section with the keys path, action,"),
        ("roots: /srv", "1: roots: found '/srv'; allowed: a list of sections with the keys path, action,"),
        ("roots:\n  - {}", "2: roots[0].path: found nothing; allowed: a path"),
        ("roots:\n  - path: srv", "2: roots[0].path: found the relative path 'srv'; allowed: an absolute path"),
        (
            "roots:\n  - path: /\n    action: quarantin",
            "3: roots[0].action: found 'quarantin'; allowed: observe, quarantine or protected (did you mean",
        ),
        (
            "roots:\n  - path: /\n    quarantine_classes: [edited, related]",
            "3: roots[0].quarantine_classes[1]: found 'related', which proves no copy and is never acted on; allowed",
        ),
        (
            "roots:\n  - path: /\n    quarantine_classes:\n    - copies",
            "[0]: found 'copies'; allowed: identical-bytes, identical-pixels, re-encoded or edited",
        ),
        (
            "roots:\n  - path: /\n    quarantine_classes: []",
            "3: roots[0].quarantine_classes: found a list of 0; allowed: a list of identical-bytes, ",
        ),
    ],
)
def test_a_wrong_shape_is_told(text: str, expected: str, write: Write) -> None:
    assert expected in "\n".join(messages(write(text), look_at_disk=False))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("roots:\n  - path: /a\n   action: observe\n", "3: bad indentation: found a line that starts in column 4"),
        ("intake:\n  settle_s: 2\n close_settle_s: 1\n", "3: bad indentation: found a line that starts in column 2"),
        ("intake:\n  settle_s: 2\n    close_settle_s: 1\n", "3: bad indentation, or missing quotes: found a `:`"),
        ("intake:\n\tsettle_s: 2\n", "2: found a tab; allowed: spaces only"),
        ("intake:\n  exclude: [*.part]\n", "2: found 'exclude: [*.part]'; a text that starts with * or &"),
        ("intake:\n  exclude:\n    - *.part\n", "3: found '- *.part'; a text that starts with * or & needs quotes"),
        (
            "intake:\n  exclude:\n    - @eaDir\n",
            "3: found character '@' at the start of a text; such a text needs quotes",
        ),
        ("intake:\n  exclude:\n    - !foo bar\n", "3: intake.exclude[0]: found 'bar' with the tag '!foo'"),
        ("a:\n  - &x b\n  - *x\n", "3: found *x without quotes; a text that starts with * needs them"),
        ("log_level: info\nlog_level: debug\n", "2: log_level: found a second time; it is already on line 1"),
        ("roots:\n  - path: /a\n    path: /b\n", "3: roots[0].path: found a second time; it is already on line 2"),
        ("roots\nlog_level: info\n", "1: found 'roots'; allowed: `key: value`"),
        ("a: 'open\nb: c\n", "while"),
        ("a: \x07\n", "1: found a control character"),
        ("[" * 3000, "nested too deep"),
        ("a: !!python/object/apply:os.system ['true']\n", "1: a: found an unknown key"),
        ("{1: [2]}: x\n", "1: found a list or a section as a key"),
    ],
)
def test_broken_yaml_gets_its_line_and_a_plain_remedy(text: str, expected: str, write: Write) -> None:
    told = "\n".join(messages(write(text), look_at_disk=False))
    assert expected in told or ("while" in expected and ": found " in told)


def test_bytes_that_are_not_utf8_get_their_line(tmp_path: Path) -> None:
    path = tmp_path / "deepdupe.yaml"
    path.write_bytes(b"roots:\n  - path: /caf\xe9\n")
    assert messages(path) == ["2: found bytes that are not UTF-8; allowed: a text file in UTF-8"]


def test_a_missing_file_is_told_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file") as caught:
        load_config(tmp_path / "none.yaml")
    assert "config sample" in str(caught.value)
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path)


def test_all_problems_are_told_at_once_in_the_order_of_the_file(write: Write, photos: Path) -> None:
    told = messages(
        write(
            f"""\
roots:
  - path: {photos}/none
  - path: {photos}
    acton: observe
state_dir: {photos}
intake:
  settle_s: two
log_level: loud
"""
        )
    )
    assert [line.split(": ")[1] for line in told] == [
        "roots[0].path",
        "roots[1].acton",
        "state_dir",
        "intake.settle_s",
        "log_level",
    ]


class TestFolders:
    """What is looked at on the disk."""

    def check(self, write: Write, *roots: object, state_dir: object = None) -> list[str]:
        state = f"state_dir: {state_dir}\n" if state_dir is not None else ""
        return messages(write("roots:\n" + "".join(f"  - path: {root}\n" for root in roots) + state))

    def test_a_missing_folder_with_the_nearest_name(self, write: Write, photos: Path) -> None:
        told = self.check(write, photos.parent / "fotos" / "2024", state_dir=photos.parent / "s")
        wrong = f"2: roots[0].path: found '{photos.parent}/fotos/2024', which does not exist"
        assert told == [f"{wrong}; allowed: an existing folder (did you mean {photos}?)"]

    def test_a_file_as_a_folder(self, write: Write, photos: Path) -> None:
        (photos / "a.jpg").touch()
        told = self.check(write, photos / "a.jpg", state_dir=photos.parent / "s")
        assert len(told) == 1
        assert f"which is a file; allowed: a folder (did you mean {photos}?)" in told[0]

    def test_a_fifo_as_a_folder(self, write: Write, photos: Path) -> None:
        os.mkfifo(photos / "pipe")
        assert "which is no folder" in self.check(write, photos / "pipe", state_dir=photos.parent / "s")[0]

    def test_one_root_inside_another(self, write: Write, photos: Path) -> None:
        (photos / "2024").mkdir()
        told = self.check(write, photos / "2024", photos, state_dir=photos.parent / "s")
        assert len(told) == 1
        assert told[0].startswith(
            f"2: roots[0].path: found '{photos}/2024', which lies inside roots[1].path ({photos})"
        )

    def test_one_root_inside_another_through_a_symbolic_link(self, write: Write, photos: Path) -> None:
        (photos / "2024").mkdir()
        (photos.parent / "link").symlink_to(photos / "2024")
        told = self.check(write, photos, photos.parent / "link", state_dir=photos.parent / "s")
        assert len(told) == 1
        assert "3: roots[1].path" in told[0]
        assert "lies inside roots[0].path" in told[0]

    def test_a_name_that_only_begins_like_another_is_no_nesting(self, write: Write, photos: Path) -> None:
        (photos.parent / "photos2").mkdir()
        path = write(f"roots:\n  - path: {photos}\n  - path: {photos}2\nstate_dir: {photos}-state\n")
        assert len(load_config(path).roots) == 2

    @pytest.mark.parametrize("spelling", ["{photos}", "{photos}/", "{photos}/../photos", "{parent}/link", "/{photos}"])
    def test_the_same_root_twice_in_any_spelling(self, write: Write, photos: Path, spelling: str) -> None:
        (photos.parent / "link").symlink_to(photos)
        second = spelling.format(photos=photos, parent=photos.parent)
        told = self.check(write, photos, second, state_dir=photos.parent / "s")
        assert len(told) == 1
        assert "which is the same folder as roots[0].path; allowed: each folder once" in told[0]

    def test_a_state_dir_that_is_a_root_or_lies_inside_one(self, write: Write, photos: Path) -> None:
        assert "3: state_dir" in (told := self.check(write, photos, state_dir=photos)[0])
        assert "which is roots[0].path" in told
        assert "which lies inside roots[0].path" in self.check(write, photos, state_dir=photos / "a" / "state")[0]
        (photos.parent / "link").symlink_to(photos)
        assert "which lies inside roots[0].path" in self.check(write, photos, state_dir=photos.parent / "link/state")[0]

    def test_a_root_inside_the_state_dir(self, write: Write, photos: Path) -> None:
        told = self.check(write, photos, state_dir=photos.parent)
        assert len(told) == 1
        assert f"and roots[0].path ({photos}) lies inside it; allowed: a folder that holds no watched folder" in told[0]

    def test_a_state_dir_with_a_file_in_the_way(self, write: Write, photos: Path) -> None:
        (photos.parent / "state").touch()
        for state_dir in (photos.parent / "state", photos.parent / "state" / "deeper"):
            told = self.check(write, photos, state_dir=state_dir)
            assert len(told) == 1
            assert f"where {photos.parent}/state is a file; allowed: a folder" in told[0]

    @pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc, where nobody can make a file")
    def test_a_state_dir_that_cannot_be_written(self, write: Write, photos: Path) -> None:
        told = self.check(write, photos, state_dir="/proc/deepdupe")
        assert len(told) == 1
        assert f"3: state_dir: found '/proc/deepdupe', which user {os.geteuid()} cannot write: " in told[0]
        assert "(tried in /proc); allowed: a writable folder" in told[0]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everywhere")
    def test_folders_without_permission(self, write: Write, photos: Path) -> None:
        (photos.parent / "state").mkdir(mode=0o500)
        photos.chmod(0o000)
        try:
            told = self.check(write, photos, state_dir=photos.parent / "state")
        finally:
            photos.chmod(0o700)
        assert "may not read; allowed: a readable folder" in told[0]
        assert "cannot write: Permission denied" in told[1]

    def test_a_quarantine_folder_in_a_root_or_around_one(self, write: Write, photos: Path) -> None:
        (photos / "deeper").mkdir()
        head = f"roots:\n  - path: {photos}\n    action: quarantine\nstate_dir: {photos.parent}/s\nquarantine:\n"
        told = messages(write(f"{head}  folder: {photos}/deeper/q\n"))
        assert len(told) == 1
        assert told[0].startswith(
            f"6: quarantine.folder: found '{photos}/deeper/q', which lies inside roots[0].path ({photos})"
        )
        told = messages(write(f"{head}  folder: {photos.parent}\n"))
        assert f"6: quarantine.folder: found '{photos.parent}', and roots[0].path ({photos}) lies inside" in told[0]
        assert load_config(write(f"{head}  folder: {photos.parent}/q\n")).quarantine.folder == photos.parent / "q"
        assert not (photos.parent / "q").exists(), "it is made when it is needed"

    @pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc, where nobody can make a file")
    def test_a_quarantined_root_that_cannot_be_written(self, write: Write, photos: Path) -> None:
        text = f"roots:\n  - path: /proc/self/task\n    action: {{}}\nstate_dir: {photos.parent}/s\n"
        (told,) = messages(write(text.format("quarantine")))
        assert told.startswith("3: roots[0].action: found 'quarantine', but user ")
        assert "cannot write in /proc/self/task: " in told
        assert load_config(write(text.format("observe"))).roots[0].action == "observe"

    def test_a_hook_that_is_no_program(self, write: Write, photos: Path) -> None:
        (photos / "plain").write_text("x")
        hooks = f"hooks:\n  - command: [/no/such]\n  - command: [{photos}/plain]\n  - command: [{sys.executable}, -V]\n"
        told = messages(write(f"roots:\n  - path: {photos}\nstate_dir: {photos.parent}/s\n{hooks}"))
        refused = "is no program that this user may run"
        assert told == [
            "5: hooks[0].command: found '/no/such', which does not exist; allowed: the path of a program",
            f"6: hooks[1].command: found '{photos}/plain', which {refused}; allowed: the path of a program",
        ]

    def test_the_probe_leaves_nothing_behind(self, write: Write, photos: Path) -> None:
        (photos.parent / "state").mkdir()
        load_config(write(f"roots:\n  - path: {photos}\nstate_dir: {photos.parent}/state\n"))
        assert list((photos.parent / "state").iterdir()) == []

    def test_a_runtime_dir_too_long_for_a_socket(self, write: Write, photos: Path) -> None:
        path = write(f"roots:\n  - path: {photos}\nstate_dir: {photos}s\nruntime_dir: /tmp/{'x' * 100}\n")
        assert (
            "4: runtime_dir: found a path that makes the address of the control socket 118 bytes" in messages(path)[0]
        )

    def test_a_linked_root_is_resolved_because_inotify_does_not_follow_it(self, write: Write, photos: Path) -> None:
        (photos.parent / "link").symlink_to(photos)
        (photos.parent / "real-state").mkdir()
        (photos.parent / "state").symlink_to(photos.parent / "real-state")
        path = write(f"roots:\n  - path: {photos.parent}/link\nstate_dir: {photos.parent}/state\n")
        for look_at_disk in (True, False):
            config = load_config(path, look_at_disk=look_at_disk)
            assert config.roots[0].path_bytes == os.fsencode(photos)
            assert config.state_dir == photos.parent / "real-state"

    def test_a_reader_needs_neither_the_folders_nor_leave_to_write(self, write: Write, tmp_path: Path) -> None:
        path = write(f"roots:\n  - path: {tmp_path}/unplugged\nstate_dir: /proc/deepdupe\n")
        assert load_config(path, look_at_disk=False).state_dir == Path("/proc/deepdupe")
