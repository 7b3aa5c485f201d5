"""`python -m eslcodec` is the command `eslcodec`."""

from .cli import main

if __name__ == "__main__":
    main()
