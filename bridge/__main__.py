"""``python -m bridge``: the same as the console script ``teams-bridge``."""

from bridge.cli.main import main

if __name__ == "__main__":
    main()
