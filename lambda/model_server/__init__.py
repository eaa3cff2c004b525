"""The model server: ONNX models, each served by the contract beside it."""

import os

# Before ONNX Runtime is imported. Without it, ONNX Runtime since 1.29 sends Microsoft which models a process loads, and keeps
# an identifier of the machine: https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
