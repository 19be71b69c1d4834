"""``python -m private_key_jwt``: the command line."""

from .cli import main

main()
