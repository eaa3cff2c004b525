"""Training on this machine: folders `models/<name>/` in, versions of the model store out. It is in no image.

`interface` is what a model's folder may use; `fit` runs in the environment with the model's own packages, the other
modules in the platform's.
"""

import os

# As model_server/__init__.py says: before ONNX Runtime is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
