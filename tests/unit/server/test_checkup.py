"""What `doctor` looks at: what the server would, by the settings that it would serve, with remedies to be pasted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from secure_ml_api.errors import KeyFileError, OperatorError, SettingsError
from secure_ml_api.models import installed
from secure_ml_api.models.signing import create_signing_key, read_signing_key
from secure_ml_api.server import checkup
from secure_ml_api.settings import read_settings


def test_models_are_looked_at_with_the_runtimes_and_the_architectures_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*named: Sequence[str]) -> None:
        raise SettingsError(f"asked for {named}")

    monkeypatch.setattr(installed, "installed", asked)
    settings = read_settings(tmp_path, {}, inference={"runtimes": ["theirs"], "architectures": ["net"]})
    (finding,) = checkup._models(settings)
    assert finding.detail == "asked for (('theirs',), ('net',))"


def test_remedy_for_a_home_that_others_can_write_can_be_pasted(tmp_path: Path) -> None:
    home = tmp_path / "my home"
    home.mkdir()
    home.chmod(0o777)
    with pytest.raises(OperatorError, match=f"chmod 700 '{home}'$"):
        checkup._home(read_settings(home, {}), serves=False)


def test_remedy_for_a_key_that_others_can_read_can_be_pasted(tmp_path: Path) -> None:
    keys = tmp_path / "my keys"
    create_signing_key(keys)
    for key in keys.iterdir():
        key.chmod(0o644)
    with pytest.raises(KeyFileError, match=f"`chmod 600 '{keys}/"):
        read_signing_key(keys)
