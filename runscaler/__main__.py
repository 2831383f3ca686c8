"""`python -m runscaler` is the `runner` command."""

from runscaler.cli import main

if __name__ == "__main__":
    main()
