"""Whether artifacts are models that the platform can serve: ``model.onnx`` held against the ``contract.json`` beside it.

``python -m model_server.model_check FOLDER…`` prints what is wrong, a line of JSON for each folder. It is a process of its own because an
artifact is not trusted: memory and time have limits, and the empty working directory has no file that could be taken for
the model's weights.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from model_server.defects import Defect, UnfitModel
from model_server.model import Model

MEMORY_MIB = 2048
"""For loading the model and for an answer: what AWS's serverless endpoint has (components/aws/model_endpoint.py)."""
CPU_SECONDS = 60
"""For the same. SageMaker ends an invocation after 60 s:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html"""


def main() -> None:
    """Print the defects of each folder, a list of objects a line."""
    parser = argparse.ArgumentParser(prog="python -m model_server.model_check")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--memory-mib", type=int, default=MEMORY_MIB)
    parser.add_argument("--cpu-seconds", type=int, default=CPU_SECONDS)
    chosen = parser.parse_args()
    # Not every system has these limits (macOS has none for the address space).
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (chosen.memory_mib * 2**20,) * 2)
    for folder in chosen.folders:
        with suppress(ValueError, OSError):
            used = resource.getrusage(resource.RUSAGE_SELF)
            limit = int(used.ru_utime + used.ru_stime) + chosen.cpu_seconds
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        print(json.dumps([vars(each) for each in defects(folder)]), flush=True)


def defects(folder: Path) -> Sequence[Defect]:
    """What is wrong with the model in a folder."""
    model, contract = ((folder / name).read_bytes() for name in ("model.onnx", "contract.json"))
    try:
        Model(model, contract)
    except UnfitModel as error:
        return error.defects
    return ()


if __name__ == "__main__":
    main()
