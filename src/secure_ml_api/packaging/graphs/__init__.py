"""Graphs written by hand for models of which the stock converter makes slow ones, each a converter for skl2onnx."""
