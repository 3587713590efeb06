"""From settings to a limiter, without touching anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from secure_ml_api.access_sections import QuotasSettings
from secure_ml_api.errors import SettingsError
from secure_ml_api.quota.opening import open_counters, open_limiter
from secure_ml_api.quota.standings import Charge
from secure_ml_api.setting_sections import StateSettings
from support.needs import free_port


@pytest.mark.parametrize("url", ["", "memory://", "redis://127.0.0.1:1/0", "valkeys://user:secret@127.0.0.1:1"])
def test_opening_opens_nothing(tmp_path: Path, url: str) -> None:
    open_limiter(StateSettings(url=url), QuotasSettings(), tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["memcached://host", "mongodb://host", "nonsense", "redis//host"])
def test_a_store_that_is_not_spoken_here_is_refused_with_those_that_are(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match=r"state\.url: use redis"):
        open_counters(StateSettings(url=url), tmp_path)


def test_without_its_library_redis_is_refused_with_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis.backoff", None)
    with pytest.raises(SettingsError, match=r"secure-ml-api\[redis\]"):
        open_counters(StateSettings(url="redis://127.0.0.1"), tmp_path)


def test_requests_in_flight_are_counted_on_this_machine_when_quotas_are_in_redis(tmp_path: Path) -> None:
    limiter = open_limiter(StateSettings(url=f"redis://127.0.0.1:{free_port()}"), QuotasSettings(), tmp_path)
    limiter.enter("client:a", 1)
    assert (tmp_path / "state.mdb").exists()
    assert limiter.charge("client:a", [Charge("requests", "5/day")])[0].remaining == 4
    assert limiter.degraded


def test_housekeeping_forgets_what_is_over_and_never_raises(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the directory should be")
    limiter = open_limiter(StateSettings(), QuotasSettings(), tmp_path / "run")
    limiter.housekeep()
    assert limiter.degraded
