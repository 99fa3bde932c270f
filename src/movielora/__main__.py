"""`python -m movielora`."""

from movielora.cli import main

if __name__ == "__main__":
    main()
