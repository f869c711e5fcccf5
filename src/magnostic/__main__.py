"""``python -m magnostic``."""

from magnostic.cli import main

if __name__ == "__main__":
    main()
