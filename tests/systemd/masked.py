"""What a sandbox does not run: units that make no sense there, and settings of the session that started it."""

from __future__ import annotations

__all__ = ["DROPPED_CAPABILITIES", "MASKED", "UNSET"]

MASKED = tuple(
    """
    getty.target console-getty.service systemd-logind.service
    dbus-org.freedesktop.login1.service dbus-org.freedesktop.timedate1.service
    dbus-org.freedesktop.network1.service dbus-org.freedesktop.resolve1.service
    systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service
    systemd-resolved.service systemd-timesyncd.service systemd-timedated.service
    systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket
    systemd-udev-trigger.service systemd-udev-settle.service systemd-hwdb-update.service
    systemd-tmpfiles-clean.timer systemd-tmpfiles-clean.service systemd-tmpfiles-setup-dev.service
    systemd-modules-load.service kmod-static-nodes.service modprobe@.service systemd-sysctl.service
    systemd-binfmt.service proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount
    systemd-random-seed.service systemd-pstore.service systemd-rfkill.socket systemd-rfkill.service
    systemd-firstboot.service systemd-machine-id-commit.service systemd-repart.service
    systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-boot-update.service
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-remount-fs.service
    systemd-ask-password-console.path systemd-ask-password-wall.path systemd-initctl.socket
    systemd-journald-audit.socket systemd-journal-catalog-update.service ldconfig.service
    dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount
    sys-fs-fuse-connections.mount tmp.mount
    apt-daily.timer apt-daily-upgrade.timer fstrim.timer man-db.timer e2scrub_all.timer""".split()  # noqa: SIM905 - a list of quoted names would hide the names
)

#: with these the sandbox could change the whole machine (capabilities(7))
DROPPED_CAPABILITIES = {
    "SYS_MODULE": 16, "SYS_RAWIO": 17, "SYS_BOOT": 22, "SYS_TIME": 25, "MAC_OVERRIDE": 32, "MAC_ADMIN": 33,
    "SYSLOG": 34, "WAKE_ALARM": 35, "BLOCK_SUSPEND": 36,
}  # fmt: skip

UNSET = (
    *(
        "DBUS_SESSION_BUS_ADDRESS",
        "XDG_RUNTIME_DIR",
        "XDG_SESSION_ID",
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    ),
    *(
        "LISTEN_PID",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "MANAGERPID",
        "SYSTEMD_EXEC_PID",
    ),
    *("TMPDIR", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"),
)
