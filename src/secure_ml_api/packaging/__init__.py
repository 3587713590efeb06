"""From a trained model to a signed package: read it apart, convert it, prove that the answers are the same."""

from .. import runtimes as _before_onnxruntime_is_imported  # noqa: F401 - it tells its makers nothing then
