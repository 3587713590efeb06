"""What a request costs before the application does anything: worker classes and HTTP engines side by side.

``python -m loadtests.engines`` runs every contender in turn, several times over, each with the server on one core and
wrk on another, and prints the medians of CPU time per request and requests per second. The figures of
``docs/decisions/0003-engine.md`` come from it.
"""
