"""``python -m secure_ml_api`` is the console script."""

from .cli import main

main()
