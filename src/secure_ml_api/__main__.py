"""The console script, ``python -m secure_ml_api`` too; where only the client is installed it says what is missing."""

import sys

# The modules that the extra ``serve`` brings. Any other that is missing is missing for a reason of its own.
SERVE = frozenset({
    "alembic", "argon2", "click", "cryptography", "flask", "flask_jwt_extended", "flask_limiter", "gunicorn", "jwt",
    "limits", "lmdb", "onnxruntime", "orjson", "prometheus_client", "pydantic", "simdjson", "sqlalchemy",
    "threadpoolctl", "werkzeug",
})  # fmt: skip


def main() -> None:
    """Run the command line; exit 1 with one line on stderr where the extra ``serve`` is not installed."""
    try:
        from .cli import main as run

        run()
    except ModuleNotFoundError as missing:
        module = (missing.name or "").partition(".")[0]
        if module not in SERVE:
            raise
        remedy = "run `pip install 'secure-ml-api[serve]'`"
        sys.exit(f"secure-ml-api: {module} is not installed, which the server needs; {remedy}")


if __name__ == "__main__":
    main()
