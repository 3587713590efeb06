"""``secure-ml-api audit``: the trail read, proved and exported from a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from secure_ml_api.database.tables import audit
from support.console import Console
from support.doormen import Lodge, open_lodge


@pytest.fixture
def lodge(tmp_path: Path) -> Iterator[Lodge]:
    opened = open_lodge(tmp_path / "home")
    for number in range(1, 6):
        opened.stores.trail.record("test", actor=f"actor-{number}", outcome="ok", number=number)
    assert opened.stores.trail.flush()
    yield opened
    opened.stores.database.close()


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Console:
    return Console(str(tmp_path / "home"), capsys, monkeypatch)


def alter(lodge: Lodge, number: int) -> None:
    with lodge.stores.database.transaction() as connection:
        connection.execute(update(audit).where(audit.c.id == number).values(actor="x"))


def test_whole_trail_exits_with_0_and_tells_its_head(lodge: Lodge, run: Console) -> None:
    ran = run("audit", "verify", "--json")
    head = lodge.stores.trail.head().last
    assert ran.status == 0
    assert json.loads(ran.stdout) == {"ok": True, "first": 1, "last": head.id, "hash": head.hash, "not_looked_at": []}


def test_broken_trail_exits_with_1_and_names_the_line_and_what_it_means(lodge: Lodge, run: Console) -> None:
    alter(lodge, 3)
    ran = run("audit", "verify", "--json")
    assert ran.status == 1
    broken = json.loads(ran.stdout)["broken"]
    assert (broken["line"], broken["why"]) == (3, "the line, or its hash, was altered")
    assert "without the key" in broken["means"]
    assert ran.stderr.count("\n") == 1
    assert "broken at line 3" in ran.stderr


def test_head_from_a_log_that_the_trail_does_not_have_is_named(lodge: Lodge, run: Console) -> None:
    head = lodge.stores.trail.head().last
    assert run("audit", "verify", "--expect", f"{head.id}:{head.hash}").status == 0
    ran = run("audit", "verify", "--expect", f"{head.id}:{'a' * 64}")
    assert ran.status == 1
    assert f"line {head.id}: the line is not the one that was there before" in ran.stderr
    assert run("audit", "verify", "--expect", "three").status == 2


def test_newest_lines_are_listed_the_oldest_of_them_first(lodge: Lodge, run: Console) -> None:
    listed = json.loads(run("audit", "list", "--limit", "2", "--json").stdout)
    assert [line["actor"] for line in listed] == ["actor-4", "actor-5"]
    assert listed[0]["details"] == {"number": 4}
    assert "actor-5" in run("audit", "list").stdout


def test_lines_are_listed_by_event_and_actor(lodge: Lodge, run: Console) -> None:
    listed = json.loads(run("audit", "list", "--event", "test", "--actor", "actor-2", "--json").stdout)
    assert [line["line"] for line in listed] == [2]


def test_exported_file_verifies_and_is_never_overwritten(lodge: Lodge, run: Console, tmp_path: Path) -> None:
    file = tmp_path / "copy.jsonl"
    told = json.loads(run("audit", "export", str(file), "--json").stdout)
    assert (told["first"], told["last"], told["lines"], told["pruned"]) == (1, 5, 5, False)
    assert len(file.read_text().splitlines()) == 6
    assert json.loads(run("audit", "verify", str(file), "--json").stdout)["first"] == 1
    again = run("audit", "export", str(file))
    assert again.status == 1
    assert "exists already" in again.stderr


def test_pruned_lines_verify_together_with_those_that_stayed(lodge: Lodge, run: Console, tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("a.jsonl", "b.jsonl")]
    for file, up_to in zip(files, ("2", "4"), strict=True):
        assert json.loads(run("audit", "export", file, "--up-to", up_to, "--prune", "--json").stdout)["pruned"]
    alone = json.loads(run("audit", "verify", "--json").stdout)
    assert (alone["first"], alone["not_looked_at"]) == (5, [{"first": 1, "last": 4}])
    assert json.loads(run("audit", "verify", *reversed(files), "--json").stdout)["first"] == 1
    ran = run("audit", "verify", files[0])
    assert ran.status == 0
    assert "lines 3 to 4 are in no file here and were not looked at" in ran.stdout
    pruned = json.loads(run("audit", "list", "--event", "audit.pruned", "--json").stdout)
    assert [line["actor"].split("=")[0] for line in pruned] == ["operator:uid"] * 2


def test_exported_file_that_differs_from_the_database_is_named_with_its_line(
    lodge: Lodge, run: Console, tmp_path: Path
) -> None:
    file = tmp_path / "copy.jsonl"
    run("audit", "export", str(file))
    file.write_text(file.read_text().replace("actor-3", "actor-x"))
    ran = run("audit", "verify", str(file), "--json")
    assert (ran.status, json.loads(ran.stdout)["broken"]["file"]) == (1, str(file))
    assert f"broken at line 3 in {file}: the line, or its hash, was altered" in ran.stderr


def test_file_of_pruned_lines_in_the_home_is_looked_at_unnamed(lodge: Lodge, run: Console, tmp_path: Path) -> None:
    file = tmp_path / "home" / "audit" / "lines-000000000001-000000000003.jsonl"
    run("audit", "export", str(file), "--up-to", "3", "--prune")
    assert run("audit", "verify").stdout.startswith("lines 1 to 6 are as they were written")
    file.write_text(file.read_text().replace("actor-2", "actor-x"))
    ran = run("audit", "verify")
    assert ran.status == 1
    assert f"broken at line 2 in {file}" in ran.stderr


def test_nothing_to_prune_says_so(lodge: Lodge, run: Console, tmp_path: Path) -> None:
    file = str(tmp_path / "a.jsonl")
    run("audit", "export", file, "--up-to", "3", "--prune")
    ran = run("audit", "export", str(tmp_path / "b.jsonl"), "--up-to", "3", "--prune", "--json")
    assert (ran.status, json.loads(ran.stdout)["lines"]) == (0, 0)


def test_missing_key_says_what_to_do(lodge: Lodge, run: Console, tmp_path: Path) -> None:
    (tmp_path / "home" / "keys" / "audit.key").unlink()
    ran = run("audit", "verify")
    assert ran.status == 1
    assert "audit.key is missing" in ran.stderr
