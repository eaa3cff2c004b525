"""The flight delay model: trained on every flight that left New York in 2013, served as ONNX."""

import os

# Before ONNX Runtime is imported. Without it, ONNX Runtime since 1.29 sends Microsoft which models a process loads, and keeps
# an identifier of the machine: https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
