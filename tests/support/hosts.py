"""Fields that name the host of a request as HTTP wants it (RFC 9112, section 3.2), and such as do not."""

from __future__ import annotations

WITHOUT_ONE_GOOD_HOST: dict[str, bytes] = {
    "none": b"",
    "two": b"Host: a\r\nHost: b\r\n",
    "the same twice": b"Host: a\r\nhost: a\r\n",
    "two in one field": b"Host: a, b\r\n",
    "a path": b"Host: a/b\r\n",
    "a user": b"Host: user@a\r\n",
    "a scheme": b"Host: http://a\r\n",
    "a space": b"Host: a b\r\n",
    "a port of letters": b"Host: a:b\r\n",
    "two ports": b"Host: a:1:2\r\n",
    "an address without brackets": b"Host: ::1\r\n",
    "a bracket that does not close": b"Host: [::1\r\n",
    "words behind a bracket": b"Host: [::1]a\r\n",
    "a broken escape": b"Host: a%4\r\n",
    "letters beyond ASCII": b"Host: \xc3\xa9\r\n",
    "a page": b"Host: <b>\r\n",
}
GOOD_HOSTS: dict[str, bytes] = {
    "a name": b"Host: a\r\n",
    "a name and a port": b"Host: models.example.org:8443\r\n",
    "a service of a composition": b"Host: secure_ml-api\r\n",
    "an address": b"Host: 192.0.2.1:80\r\n",
    "an address of version 6": b"Host: [2001:db8::1]:80\r\n",
    "an escape": b"Host: %C3%A9.example\r\n",
    "a port that is left out": b"Host: a:\r\n",
    "no authority": b"Host:\r\n",
    "room around it": b"Host: \ta \r\n",
}
