"""Token-signing keys on disk."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from secure_ml_api.auth.keys import KeyRing
from secure_ml_api.errors import KeyFileError, OperatorError


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring(tmp_path: Path, clock: Clock) -> KeyRing:
    ring = KeyRing(tmp_path / "keys", "EdDSA", 900, now=clock)
    ring.create()
    return ring


def statuses(ring: KeyRing) -> list[str]:
    return [key.status for key in ring.list()]


def test_first_keys_are_one_active_and_one_next(ring: KeyRing) -> None:
    assert statuses(ring) == ["active", "next"]
    assert ring.signing_key().kid == ring.list()[0].kid


def test_keys_that_are_there_are_never_overwritten(ring: KeyRing) -> None:
    before = ring.list()
    assert ring.create() is False
    assert ring.list() == before


def test_only_the_owner_reads_the_keys(ring: KeyRing, tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert set(modes.values()) == {0o600}
    assert len([name for name in modes if name.endswith(".pem")]) == 2


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_key_that_others_may_read_is_refused_with_the_chmod_to_run(ring: KeyRing, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys" / f"token-{ring.signing_key().kid}.pem"
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {path}"):
        KeyRing(tmp_path / "keys", "EdDSA", 900).signing_key()


def test_directory_that_others_may_enter_is_refused_with_the_chmod_to_run(ring: KeyRing, tmp_path: Path) -> None:
    (tmp_path / "keys").chmod(0o750)
    with pytest.raises(KeyFileError, match=f"chmod 700 {tmp_path / 'keys'}"):
        KeyRing(tmp_path / "keys", "EdDSA", 900).signing_key()


def test_symbolic_link_in_place_of_a_key_is_refused(ring: KeyRing, tmp_path: Path) -> None:
    path = tmp_path / "keys" / f"token-{ring.signing_key().kid}.pem"
    moved = path.rename(tmp_path / "elsewhere.pem")
    path.symlink_to(moved)
    with pytest.raises(KeyFileError):
        KeyRing(tmp_path / "keys", "EdDSA", 900).signing_key()


def test_missing_keys_name_the_command_to_run(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="secure-ml-api init"):
        KeyRing(tmp_path / "keys", "EdDSA", 900).signing_key()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"keys": [{}]}', '{"keys": 1}', "null"])
def test_damaged_state_is_refused(ring: KeyRing, tmp_path: Path, content: str) -> None:
    (tmp_path / "keys" / "tokens.json").write_text(content)
    with pytest.raises(KeyFileError):
        KeyRing(tmp_path / "keys", "EdDSA", 900).signing_key()


def test_private_key_of_another_kid_is_refused(ring: KeyRing, tmp_path: Path) -> None:
    active, following = ring.list()
    directory = tmp_path / "keys"
    (directory / f"token-{active.kid}.pem").write_bytes((directory / f"token-{following.kid}.pem").read_bytes())
    with pytest.raises(KeyFileError, match="backup"):
        KeyRing(directory, "EdDSA", 900).signing_key()


def test_rotation_signs_with_the_key_that_was_published_before(ring: KeyRing) -> None:
    active, following = ring.list()
    assert ring.rotate().kid == following.kid
    assert statuses(ring) == ["retiring", "active", "next"]
    assert {key["kid"] for key in ring.jwks()["keys"]} >= {active.kid, following.kid}


def test_published_keys_are_public_and_say_what_they_are_for(ring: KeyRing) -> None:
    for key in ring.jwks()["keys"]:
        assert set(key) == {"kty", "crv", "x", "kid", "alg", "use"}
        assert (key["use"], key["alg"]) == ("sig", "EdDSA")


def test_retiring_key_goes_after_the_longest_token_life(ring: KeyRing, clock: Clock) -> None:
    old = ring.signing_key().kid
    ring.rotate()
    clock.now += 901
    assert ring.verifying_key(old) is not None
    clock.now += 120
    assert ring.verifying_key(old) is None
    assert old not in {key["kid"] for key in ring.jwks()["keys"]}


def test_private_half_of_a_retiring_key_is_deleted(ring: KeyRing, tmp_path: Path) -> None:
    old = ring.signing_key().kid
    ring.rotate()
    assert not (tmp_path / "keys" / f"token-{old}.pem").exists()
    assert ring.verifying_key(old) is not None


def test_ended_keys_are_forgotten_by_the_next_rotation(ring: KeyRing, clock: Clock, tmp_path: Path) -> None:
    old = ring.signing_key().kid
    ring.rotate()
    clock.now += 10_000
    ring.rotate()
    assert old not in (tmp_path / "keys" / "tokens.json").read_text()


def test_retired_active_key_makes_room_for_the_next(ring: KeyRing) -> None:
    active, following = ring.list()
    assert ring.retire(active.kid).kid == following.kid
    assert ring.verifying_key(active.kid) is not None
    assert statuses(ring) == ["retiring", "active", "next"]


@pytest.mark.parametrize("place", [0, 1])
def test_key_that_is_retired_at_once_verifies_nothing_any_more(ring: KeyRing, place: int) -> None:
    gone = ring.list()[place].kid
    ring.retire(gone, immediately=True)
    assert ring.verifying_key(gone) is None
    assert gone not in {key["kid"] for key in ring.jwks()["keys"]}
    assert statuses(ring) == ["active", "next"]


def test_retiring_a_retiring_key_does_not_prolong_it(ring: KeyRing, clock: Clock) -> None:
    old = ring.signing_key().kid
    ring.rotate()
    end = next(key.retire_after for key in ring.list() if key.kid == old)
    clock.now += 100
    ring.retire(old)
    assert next(key.retire_after for key in ring.list() if key.kid == old) == end


def test_unknown_key_cannot_be_retired(ring: KeyRing) -> None:
    with pytest.raises(OperatorError, match="keys list"):
        ring.retire("nobody")


def test_other_workers_notice_with_their_next_reload(ring: KeyRing, tmp_path: Path, clock: Clock) -> None:
    worker = KeyRing(tmp_path / "keys", "EdDSA", 900, now=clock)
    compromised = worker.signing_key().kid
    assert worker.reload() is False
    ring.retire(compromised, immediately=True)
    assert worker.reload() is True
    assert worker.verifying_key(compromised) is None
    assert worker.signing_key().kid != compromised
    assert worker.reload() is False


def test_damage_while_serving_keeps_the_keys_that_were_read(ring: KeyRing, tmp_path: Path) -> None:
    kid = ring.signing_key().kid
    (tmp_path / "keys" / "tokens.json").write_text("{")
    with pytest.raises(KeyFileError):
        ring.reload()
    assert ring.signing_key().kid == kid


def test_rotations_at_once_lose_no_key(ring: KeyRing, tmp_path: Path, clock: Clock) -> None:
    rings = [KeyRing(tmp_path / "keys", "EdDSA", 900, now=clock) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: [one.rotate() for _ in range(5)], rings))
    ring.reload()
    assert statuses(ring).count("active") == statuses(ring).count("next") == 1
    assert len(ring.list()) == 22
    listed = {f"token-{key.kid}.pem" for key in ring.list() if key.status != "retiring"}
    assert {path.name for path in (tmp_path / "keys").glob("*.pem")} == listed


def test_failed_write_leaves_the_old_state(ring: KeyRing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (tmp_path / "keys" / "tokens.json").read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(KeyFileError, match="No space left"):
        ring.rotate()
    monkeypatch.undo()
    assert (tmp_path / "keys" / "tokens.json").read_text() == before
    assert not list((tmp_path / "keys").glob(".token*.pem*"))
    assert ring.signing_key().kid in before


def test_state_file_holds_no_private_key(ring: KeyRing, tmp_path: Path) -> None:
    state = json.loads((tmp_path / "keys" / "tokens.json").read_text())
    assert all(set(key["jwk"]) == {"kty", "crv", "x"} for key in state["keys"])


@pytest.mark.parametrize(("algorithm", "kty"), [("EdDSA", "OKP"), ("ES256", "EC"), ("RS256", "RSA")])
def test_every_algorithm_makes_its_kind_of_key(tmp_path: Path, algorithm: str, kty: str) -> None:
    ring = KeyRing(tmp_path / algorithm, algorithm, 900)
    ring.create()
    assert {(key["kty"], key["alg"]) for key in ring.jwks()["keys"]} == {(kty, algorithm)}
    if kty == "RSA":
        assert len(ring.jwks()["keys"][0]["n"]) == 512  # 3072 bits in base64url
