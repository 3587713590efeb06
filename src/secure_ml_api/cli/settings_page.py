"""``docs/settings.md``, generated from the code: ``python -m secure_ml_api.cli.settings_page > docs/settings.md``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from ..settings import Settings

_HEAD = """# Settings

Generated from the code; `secure-ml-api doctor --settings` shows the values that are in force.

A setting is read from the environment first, then from `config.toml` in the home, then it has the default below. In the
environment its name is `SECURE_ML_API_<SECTION>__<KEY>`, for example `SECURE_ML_API_SERVER__PORT=8443`; a list is
written with commas. An unknown section or key is refused at start, by name.

```toml
# config.toml
[server]
trusted_proxies = ["10.0.0.0/8"]

[quotas]
requests = "1200/minute"
```
"""


def render() -> str:
    """The whole page."""
    parts = [_HEAD]
    for section, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            parts.append(f"\n## [{section}]\n\n{_table(section, kind)}")
    return "".join(parts)


def _table(section: str, kind: type[BaseModel]) -> str:
    lines = ["| key | default | meaning |", "| --- | --- | --- |"]
    lines += [f"| `{key}` | {default} | {text} |" for key, default, text in _rows(kind)]
    table = "\n".join(lines) + "\n"
    for key, field in kind.model_fields.items():
        for inner in get_args(field.annotation):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                table += f"\n### [[{section}.{key}]]\n\n{_table(f'{section}.{key}', inner)}"
    return table


def _rows(kind: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    for key, field in kind.model_fields.items():
        default = "required" if field.is_required() else _shown(field.get_default(call_default_factory=True))
        yield key, default, " ".join((field.description or "").replace("``", "`").split())


def _shown(value: Any) -> str:
    if value in ("", ()):
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201
