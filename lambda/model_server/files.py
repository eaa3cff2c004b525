"""The folders of the models that a service gives to its container, wherever it puts them.

A folder has ``model.onnx`` and ``contract.json``. There is one for an endpoint with one model; an endpoint with several has
one below its own for each of them.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

FILES = ("contract.json", "model.onnx")
DOWNLOAD_SECONDS = 2 * 60
"""How long a download is tried again that Cloud Storage refuses."""


def model_folders(environment: Mapping[str, str]) -> list[Path]:
    """The folders of the models on this service. Exits with the reason when there is none."""
    if uri := environment.get("AIP_STORAGE_URI"):
        folder = _downloaded(uri.rstrip("/"))
    else:
        variables = ("AZUREML_MODEL_DIR", "SM_MODEL_DIR")
        named = next((environment[name] for name in variables if environment.get(name)), "")
        folder = Path(named or "/opt/ml/model")
    # Azure ML puts the registered folder below the folder that its variable names.
    found = sorted(file.parent for file in folder.rglob("model.onnx"))
    if not found:
        raise SystemExit(
            f"{folder} should hold model.onnx and contract.json, or a folder with both for each model, and holds no model.onnx."
            " The folder is named by AZUREML_MODEL_DIR or SM_MODEL_DIR; without them it is /opt/ml/model."
        )
    return found


def _downloaded(uri: str) -> Path:
    """A folder with the models of a folder in Cloud Storage.

    Its ``version.txt`` names the files: Vertex AI's account for a deployment may read files by their names, and need not be
    allowed to list them. A file is refused as long as the new grant is not in force everywhere.
    https://cloud.google.com/iam/docs/access-change-propagation
    """
    # The imports take half a second, so only on Vertex AI.
    from google.api_core.exceptions import Forbidden, NotFound
    from google.api_core.retry import Retry, if_exception_type
    from google.cloud import storage

    folder = Path(tempfile.mkdtemp(prefix="model-"))
    client = storage.Client()

    @Retry(if_exception_type(Forbidden, NotFound), maximum=10, timeout=DOWNLOAD_SECONDS)
    def download(name: str) -> Path:
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        with file.open("wb") as target:
            client.download_blob_to_file(f"{uri}/{name}", target)
        return file

    for name in files_of(download("version.txt").read_text()):
        download(name)
    return folder


def files_of(version_text: str) -> list[str]:
    """The files that belong to a ``version.txt``. Exits for a text that is none.

    That of a model has a line ``<hash>  <file>`` for each of its files; that of an endpoint with several models has a line
    ``<model> <version>`` for each.
    """
    if re.search("^[0-9a-f]{64}  model.onnx$", version_text, re.M):
        return list(FILES)
    models = re.findall("^([a-z][a-z0-9-]*) [0-9a-f]{64}$", version_text, re.M)
    if not models or len(models) != len(version_text.splitlines()):
        raise SystemExit(f"version.txt names no model.onnx and no models: {version_text[:200]!r}")
    return [f"{model}/{name}" for model in models for name in FILES]
