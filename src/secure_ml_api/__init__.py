"""A hardened HTTP API in front of trained models."""

from typing import TYPE_CHECKING

__version__: str
"""The installed version, which is that of the git tag."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> str:
        """``__version__``, read when it is asked for: what reads metadata takes longer to import than --help has."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("secure-ml-api")
        except PackageNotFoundError:  # a folder on the path, which nobody installed
            return "0.0+unknown"
