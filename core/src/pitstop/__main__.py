"""`python -m pitstop` is the program `pitstop`."""

from pitstop.cli import main

if __name__ == "__main__":
    main()
