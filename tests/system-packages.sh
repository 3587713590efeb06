#!/bin/sh
# Installs the Debian packages that some tests need, when this is Debian and we are root; otherwise says what is missing.
# Those tests then skip with the same words, or fail where CI=true.
set -eu

missing=""
PATH="$PATH:/usr/sbin:/sbin:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)"
need() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need redis-server redis-server
need promtool prometheus
need prometheus prometheus
need initdb postgresql
need nginx nginx-light
need openssl openssl
need curl curl
need jq jq
need wrk wrk
need systemd-analyze systemd
need cc gcc
need git git
[ -z "$missing" ] && exit 0
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Debian packages for the tests: $missing"
    # The services themselves are not wanted: the tests start their own, on free ports.
    policy=/usr/sbin/policy-rc.d
    made=""
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"; made=yes; }
    trap '[ -z "$made" ] || rm -f "$policy"' EXIT
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "Some tests will be skipped; to run them: apt-get install $missing"
fi
