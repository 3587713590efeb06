"""The settings page says what the code does."""

from __future__ import annotations

from pathlib import Path

from secure_ml_api.cli.settings_page import render
from secure_ml_api.settings import SECTIONS, Settings

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_is_the_one_that_the_code_generates() -> None:
    regenerate = "run: python -m secure_ml_api.cli.settings_page > docs/settings.md"
    assert PAGE.read_text("utf-8") == render(), regenerate


def test_every_setting_says_what_it_means() -> None:
    for section in SECTIONS:
        for key, field in type(getattr(Settings(home=Path("var")), section)).model_fields.items():
            assert field.description, f"{section}.{key}"
