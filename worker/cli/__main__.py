"""`python -m worker.cli` is `cashback`."""

from worker.cli import main

if __name__ == "__main__":
    main()
