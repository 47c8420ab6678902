"""`python -m deepdupe_daemon`"""

from deepdupe_daemon.cli import main

if __name__ == "__main__":
    main()
