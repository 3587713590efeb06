"""What those do next who were refused for want of room."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

from support.under_load import overloadable

PATH = "/v1/models/sleeper/predict"
ROW = {"features": [1, 2, 3, 4]}


def test_a_mistake_that_is_answered_at_once_takes_no_room_on_the_way_to_the_model(tmp_path: Path) -> None:
    """Within the second in which refusals are remembered; on a machine that is slower this shows nothing."""
    with (
        overloadable(tmp_path / "home", "inplace", "sleeper", ROW, apart=False, sleeps=True) as loaded,
        ExitStack() as opened,
    ):
        crowd = loaded.caller("crowd")
        mine = [loaded.running.connection() for _ in range(20)]
        for connection in mine:
            opened.callback(connection.close)
        assert 503 in loaded.load(crowd, 800, 0.6).statuses()
        head = dict(line.split(": ", 1) for line in crowd.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:])
        headers = {name: head[name] for name in ("Authorization", "Content-Type")}
        statuses = []
        for connection in mine:
            connection.request("POST", PATH, json.dumps({"features": "no row"}), headers)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        assert set(statuses) == {422}
