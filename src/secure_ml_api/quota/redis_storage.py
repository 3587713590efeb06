"""Counters in Redis or Valkey: exact over several machines, one round trip a charge, every wait bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limits.storage import RedisStorage

from ..errors import SettingsError
from .counters import Counters
from .windows import Verdict, Wanted

# Groups of keys, one after the other, each all or nothing. ARGV: "1" to charge or "0" to look; then of each group how
# many keys it has, and limit, window in milliseconds and cost of each. Answers for each group 1 or 0 for admitted, then
# used and milliseconds left of each key. A key that would outlive its window was written before the server's clock was
# set back, and one that never ends was not written here: both start anew.
_WEIGH = b"""
local answers, charging, first, at = {}, ARGV[1] == '1', 1, 2
while at <= #ARGV do
  local last, admitted, used, left = first + ARGV[at] - 1, 1, {}, {}
  local numbers = at - 3 * first
  for i = first, last do
    local limit, window = tonumber(ARGV[numbers + 3 * i + 1]), tonumber(ARGV[numbers + 3 * i + 2])
    local cost = tonumber(ARGV[numbers + 3 * i + 3])
    left[i] = redis.call('PTTL', KEYS[i])
    if left[i] < 0 or left[i] > window then
      used[i], left[i] = 0, -1
    else
      used[i] = tonumber(redis.call('GET', KEYS[i]) or '0')
    end
    if cost > 0 and used[i] + cost > limit then admitted = 0 end
  end
  local answer = {admitted}
  for i = first, last do
    local window, cost = ARGV[numbers + 3 * i + 2], ARGV[numbers + 3 * i + 3]
    if admitted == 1 and charging and cost ~= '0' then
      if left[i] < 0 then redis.call('SET', KEYS[i], cost, 'PX', window) else redis.call('INCRBY', KEYS[i], cost) end
      used[i] = used[i] + tonumber(cost)
    end
    if left[i] < 0 then left[i] = tonumber(window) end
    answer[#answer + 1], answer[#answer + 2] = used[i], left[i]
  end
  answers[#answers + 1] = answer
  first, at = last + 1, numbers + 3 * last + 4
end
return answers
"""


class RedisCounters(RedisStorage):
    """The library's Redis storage, with charges that are all or nothing in one script.

    Windows end by Redis's own expiry, so the clocks of the machines do not matter. Its methods raise the client
    library's RedisError when the server does not answer in time.
    """

    STORAGE_SCHEME: list[str] | None = None  # type: ignore[assignment]  # the library keeps its schemes

    def initialize_storage(self, _uri: str) -> None:
        super().initialize_storage(_uri)
        self._weigh_script = self.get_connection().register_script(_WEIGH)

    def charge(self, wanted: Wanted) -> Verdict:
        return self._weigh("1", (wanted,))[0]

    def charge_each(self, wanted: Sequence[Wanted]) -> list[Verdict]:
        return self._weigh("1", wanted)

    def peek(self, wanted: Wanted) -> Verdict:
        return self._weigh("0", (wanted,))[0]

    def purge(self) -> int:
        """Nothing to do: Redis forgets windows that are over by itself."""
        return 0

    def _weigh(self, charge: str, groups: Sequence[Wanted]) -> list[Verdict]:
        """What was found for each of ``groups``, in one round trip."""
        keys = []
        arguments: list[Any] = [charge]
        for wanted in groups:
            arguments.append(len(wanted))
            for counter, cost in wanted:
                keys.append(self.prefixed_key(counter.key))
                arguments += (counter.limit, counter.window_seconds * 1000, cost)
        return [_verdict(*answer) for answer in self._weigh_script(keys, arguments)]


def _verdict(admitted: int, *numbers: int) -> Verdict:
    return bool(admitted), [(used, left * 1_000_000) for used, left in zip(numbers[::2], numbers[1::2], strict=True)]


def open_redis(url: str, timeout_seconds: float) -> Counters:
    """Counters at ``url`` (``redis``, ``rediss``, ``valkey`` …); not connected until their first use.

    One client library serves both servers, as they speak one protocol. It neither waits longer than
    ``timeout_seconds`` for a connection or an answer, nor asks twice: a charge that was sent and not answered may have
    been taken. Raises SettingsError when the library is missing or the URL is not one.
    """
    try:
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise SettingsError(
            "state.url: counting in Redis or Valkey needs the extra: pip install 'secure-ml-api[redis]'"
        ) from None
    options: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # no handshake beyond AUTH and SELECT, and none of the notifications that stretch time-outs
    }
    try:
        return RedisCounters(url.replace("valkey", "redis", 1), **options)
    except ValueError:
        raise SettingsError("state.url: not a Redis URL; write it as redis://:password@host:6379/0") from None
