"""The service under a real systemd and a real journald, booted in a sandbox of its own."""
