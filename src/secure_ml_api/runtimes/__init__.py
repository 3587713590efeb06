"""What runs a model: one file per framework, all behind the same protocol, none aware of another."""

import os

# onnxruntime of PyPI, since 1.29, tells its makers of each process and model (names and hashes of graphs), and keeps an
# identifier of the machine. It decides when it is imported, whoever imports it, and starts threads before a fork.
# https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
