"""The client of a first visit, and the command that shows what it may do."""

from __future__ import annotations

from ..settings import Settings

NAME = "demo"
_SCOPES = ("predict:*", "models:read")


def demo_command(settings: Settings, url: str) -> str:
    """A curl command that gets a token and predicts; the client ``demo`` is made, or its secret made anew."""
    from ..auth.assembly import open_stores

    clients = open_stores(settings).clients
    if any(client.name == NAME for client in clients.list()):
        client, secret = clients.rotate_secret(NAME)
    else:
        client, secret = clients.create(NAME, _SCOPES)
    token = (
        f"curl -s -u {client.client_id}:{secret} -d grant_type=client_credentials {url}/oauth/token"
        """ | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/'"""
    )
    return (
        f"curl -s {url}/v1/models/iris/predict -H 'Content-Type: application/json' \\\n"
        f"""  -H "Authorization: Bearer $({token})" \\\n"""
        """  -d '{"features": [5.1, 3.5, 1.4, 0.2]}'"""
    )
