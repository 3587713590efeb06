"""What Kubernetes itself says of an object: its published schemas."""

from __future__ import annotations

from typing import Any

VERSIONS = ("1.30", "latest")
"""The oldest that is meant, and the newest whose schemas are installed."""


def validate(given: dict[str, Any], version: str) -> None:
    """Raises where ``version`` of Kubernetes would refuse ``given``, or does not know one of its fields."""
    import kubernetes_validate  # which takes seconds

    if version == "latest":
        version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(given, version, strict=True)
