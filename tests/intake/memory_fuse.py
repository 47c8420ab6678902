"""A FUSE file system that lives in a dict: for tests of file systems that change without telling.

The kernel's protocol (linux/fuse.h, 7.31), as far as looking and reading go. What is put into `files` is there at once,
and no inotify event says so, exactly as when somebody else writes to a network share. Inode numbers are handed out anew
at every mount, as many FUSE file systems do.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import threading
from pathlib import Path

_SILENT = {2, 36, 42}  # FUSE_FORGET, FUSE_INTERRUPT, FUSE_BATCH_FORGET: nobody waits for an answer
_ROOT = 1
_MNT_DETACH = 2


class MemoryFuse:
    """Mounts itself at `point`. `files` maps relative paths to (bytes, mtime_ns); directories come with them.

    Change `files` under `lock`. While `answering` is cleared the file system hangs, as one does whose server is gone.
    Needs CAP_SYS_ADMIN in its user namespace and a readable /dev/fuse; raises OSError otherwise.
    """

    def __init__(self, point: Path, files: dict[str, tuple[bytes, int]], *, first_inode: int) -> None:
        self.files = files
        self.lock = threading.Lock()
        self.answering = threading.Event()
        self.answering.set()
        self._point = point
        self._paths = {_ROOT: ""}
        self._inodes = {"": _ROOT}
        self._next_inode = first_inode
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._fd},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
        if self._libc.mount(b"memory", os.fsencode(point), b"fuse.memory", 0, options.encode()) != 0:
            code = ctypes.get_errno()
            os.close(self._fd)
            raise OSError(code, os.strerror(code))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def unmount(self) -> None:
        self.answering.set()
        self._libc.umount2(os.fsencode(self._point), _MNT_DETACH)
        self._thread.join(10)
        os.close(self._fd)

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._fd, 1 << 20)
            except OSError as error:
                if error.errno == errno.ENODEV:  # unmounted
                    return
                if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):  # the asker gave up
                    continue
                raise
            _, opcode, unique, node = struct.unpack_from("=IIQQ", request)
            if opcode in _SILENT:
                continue
            self.answering.wait()
            with self.lock:
                answer = self._answer(opcode, node, request[40:])
            code, body = (-answer, b"") if isinstance(answer, int) else (0, answer)
            try:
                os.write(self._fd, struct.pack("=IiQ", 16 + len(body), code, unique) + body)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV):
                    raise

    def _answer(self, opcode: int, node: int, body: bytes) -> bytes | int:
        path = self._paths.get(node)
        match opcode:
            case 26:  # FUSE_INIT
                return struct.pack("=IIIIHHIIHHI7I", 7, 31, 65536, 0, 12, 9, 65536, 1, 0, 0, 0, *[0] * 7)
            case 1:  # FUSE_LOOKUP
                name = os.fsdecode(body.rstrip(b"\0"))
                return self._entry(f"{path}/{name}" if path else name)
            case 3:  # FUSE_GETATTR
                attributes = None if path is None else self._attributes(path)
                return errno.ENOENT if attributes is None else struct.pack("=QII", 0, 0, 0) + attributes
            case 14 | 27:  # FUSE_OPEN, FUSE_OPENDIR
                return struct.pack("=QII", 0, 0, 0)
            case 28:  # FUSE_READDIR
                offset, size = struct.unpack_from("=QI", body, 8)
                return self._listing(path or "", offset, size)
            case 15:  # FUSE_READ
                offset, size = struct.unpack_from("=QI", body, 8)
                return self.files[path or ""][0][offset : offset + size]
            case 17:  # FUSE_STATFS
                return bytes(80)
            case 18 | 25 | 29 | 34:  # RELEASE, FLUSH, RELEASEDIR, ACCESS
                return b""
            case _:
                return errno.ENOSYS

    def _is_directory(self, path: str) -> bool:
        return not path or any(name.startswith(path + "/") for name in self.files)

    def _inode(self, path: str) -> int:
        if path not in self._inodes:
            self._inodes[path] = self._next_inode
            self._paths[self._next_inode] = path
            self._next_inode += 1
        return self._inodes[path]

    def _attributes(self, path: str) -> bytes | None:
        if path in self.files:
            content, mtime_ns = self.files[path]
            mode, size = 0o100644, len(content)
        elif self._is_directory(path):
            mode, size, mtime_ns = 0o040755, 0, 0
        else:
            return None
        seconds, rest = divmod(mtime_ns, 10**9)
        times = (seconds, seconds, seconds, rest, rest, rest)
        return struct.pack("=6Q10I", self._inode(path), size, 0, *times, mode, 1, 0, 0, 0, 4096, 0)

    def _entry(self, path: str) -> bytes | int:
        attributes = self._attributes(path)
        if attributes is None:
            return errno.ENOENT
        return struct.pack("=QQQQII", self._inode(path), 0, 0, 0, 0, 0) + attributes

    def _listing(self, path: str, offset: int, size: int) -> bytes:
        prefix = f"{path}/" if path else ""
        names = sorted({name[len(prefix) :].split("/")[0] for name in self.files if name.startswith(prefix)})
        listing = b""
        for index, name in enumerate(names[offset:], offset + 1):
            kind = 4 if self._is_directory(prefix + name) else 8
            raw = os.fsencode(name)
            entry = struct.pack("=QQII", self._inode(prefix + name), index, len(raw), kind) + raw
            entry += bytes(-len(entry) % 8)
            if len(listing) + len(entry) > size:
                break
            listing += entry
        return listing
