"""`python -m biggan`."""

from biggan.cli import main

main()
