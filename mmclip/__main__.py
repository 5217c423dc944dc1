"""``python -m mmclip``."""

from mmclip.cli import main

main()
