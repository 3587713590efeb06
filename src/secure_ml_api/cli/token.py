"""``token``: get an access token from a running server."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .common import home_option, json_option, load, say

_TIMEOUT_SECONDS = 10.0
_ANSWER_LIMIT_BYTES = 64 * 1024


@click.command(name="token", short_help="Get an access token from a running server.")
@click.option("--client-id", required=True, envvar="SECURE_ML_API_CLIENT_ID", show_envvar=True)
@click.option(
    "--client-secret",
    envvar="SECURE_ML_API_CLIENT_SECRET",
    show_envvar=True,
    help="Without it the secret is asked for, or read from stdin, which keeps it out of the process list.",
)
@click.option("--scope", "scopes", multiple=True, help="A scope to ask for; without any, all that the client holds.")
@click.option("--url", help="Base URL of the server; without it, the host and port in the settings.")
@home_option
@json_option
def command(
    *, client_id: str, client_secret: str | None, scopes: tuple[str, ...], url: str | None, home: Path, as_json: bool
) -> None:
    """Print an access token for the client, and nothing else."""
    from ..errors import OperatorError

    secret = client_secret or _ask_for_secret()
    if not secret:
        raise OperatorError("no client secret was given: pass --client-secret or SECURE_ML_API_CLIENT_SECRET")
    base = url or _base_url(home)
    answer = _request_token(base.rstrip("/"), client_id, secret, " ".join(scopes))
    say(answer, as_json, [str(answer["access_token"])])


def _ask_for_secret() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Client secret", hide_input=True, err=True))
    return sys.stdin.readline().strip()


def _base_url(home: Path) -> str:
    server = load(home).server
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104  # asked of, not listened on
    return f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}"


def _request_token(base: str, client_id: str, secret: str, scope: str) -> dict[str, object]:
    import base64
    from http.client import HTTPException
    from ssl import SSLCertVerificationError
    from urllib.error import HTTPError, URLError
    from urllib.parse import quote_plus, urlencode, urlsplit
    from urllib.request import Request, urlopen

    from ..errors import OperatorError

    if urlsplit(base).scheme not in {"http", "https"}:
        raise OperatorError("--url is not a URL such as http://127.0.0.1:8000")
    form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
    credentials = base64.b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()
    request = Request(  # noqa: S310  # the scheme was checked
        f"{base}/oauth/token",
        data=urlencode(form).encode(),
        headers={"Authorization": f"Basic {credentials}", "Accept": "application/json"},
    )
    try:
        with urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  # as above
            return _parsed(answer.read(_ANSWER_LIMIT_BYTES), base)
    except HTTPError as error:
        raise OperatorError(_refusal(error.code, error.read(_ANSWER_LIMIT_BYTES), base)) from None
    except (URLError, HTTPException, OSError) as error:
        why = getattr(error, "reason", error)
        if isinstance(why, SSLCertVerificationError):
            remedy = "name the PEM file of its authority in SSL_CERT_FILE, and in --url a host that it is for"
            raise OperatorError(f"the certificate of {base} is not trusted ({why.verify_message}): {remedy}") from None
        raise OperatorError(f"no server answers at {base} ({why}): start one with `secure-ml-api serve`") from None


def _parsed(body: bytes, base: str) -> dict[str, object]:
    import json

    from ..errors import OperatorError

    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
        raise OperatorError(f"what answers at {base} is not a token endpoint: check --url")
    return answer


def _refusal(status: int, body: bytes, base: str) -> str:
    import json

    try:
        answer = json.loads(body)
        why = answer.get("error_description") or answer.get("detail") or answer["error"]
    except (ValueError, AttributeError, KeyError):
        return f"{base} answered {status}: check --url"
    remedy = (
        "check --client-id and --client-secret, or `secure-ml-api clients list`" if status == 401 else "try again later"
    )
    if status in {400, 403}:
        remedy = "check --scope against `secure-ml-api clients show`"
    return f"the server refused ({status}): {str(why).splitlines()[0]}; {remedy}"
