"""The tuning profiles of deploy/gunicorn, and the document with their figures."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from loadtests.figures_page import END
from loadtests.profiles.document import table
from loadtests.profiles.measure import Sample, middle
from loadtests.profiles.run import PAGE, PROFILES
from loadtests.profiles.works import WORKS
from secure_ml_api.errors import SettingsError
from secure_ml_api.settings import Settings, read_settings


def settings_with(profile: Path, home: Path, *, more: str = "") -> Settings:
    """What the server reads when ``profile`` is the configuration of ``home``."""
    shutil.copyfile(profile, home / "config.toml")
    with (home / "config.toml").open("a") as file:
        file.write(more)
    return read_settings(home, {})


def test_there_are_the_four_profiles_and_the_document_names_each() -> None:
    assert set(PROFILES) == {"small", "latency", "throughput", "memory"}
    assert all(f"deploy/gunicorn/{name}.toml" in PAGE.path.read_text("utf-8") for name in PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_read_by_the_server_and_changes_what_it_names(name: str, tmp_path: Path) -> None:
    profiled, usual = settings_with(PROFILES[name], tmp_path), read_settings(tmp_path / "nowhere", {})
    for section, keys in tomllib.loads(PROFILES[name].read_text()).items():
        for key, value in keys.items():
            assert getattr(getattr(profiled, section), key) == value
            assert getattr(getattr(usual, section), key) != value, f"{section}.{key} is so already"


@pytest.mark.parametrize("name", PROFILES)
def test_an_unknown_key_in_a_profile_would_be_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="keepalive"):
        settings_with(PROFILES[name], tmp_path, more="\n[quotas]\nkeepalive = 1\n")


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_says_what_it_is_for_and_what_it_costs(name: str) -> None:
    head = PROFILES[name].read_text().partition("\n[")[0]
    assert head.startswith(f"# {name}: ")
    assert "Costs: " in head


@pytest.mark.parametrize("name", PROFILES)
def test_no_work_has_more_connections_than_a_profile_takes_in(name: str, tmp_path: Path) -> None:
    settings = settings_with(PROFILES[name], tmp_path)
    assert max(work.connections for work in WORKS) <= settings.server.threads


def test_figures_take_the_place_of_earlier_ones_and_of_nothing_else() -> None:
    first = PAGE.with_figures(f"# Tuning\n{PAGE.mark}{END}\nmore\n", "| one |")
    assert first == f"# Tuning\n{PAGE.mark}\n\n| one |\n\n{END}\nmore\n"
    assert PAGE.with_figures(first, "| two |") == first.replace("one", "two")
    with pytest.raises(ValueError, match="lacks its marks"):
        PAGE.with_figures("# Tuning", "| one |")


def test_the_table_has_the_medians_of_each_profile() -> None:
    samples = [Sample(per_second, 1.0, 9.0, 200.0, 150.0) for per_second in (1000.0, 4000.0, 3000.0)]
    assert middle(samples).per_second == 3000.0
    assert table(WORKS[0], {"small": middle(samples)}).splitlines()[-1] == "| small | 3000 | 1.00 | 9.00 | 200 | 150 |"
