"""`python -m loader` is the command line."""

from loader.watch.cli import main

if __name__ == "__main__":
    main()
