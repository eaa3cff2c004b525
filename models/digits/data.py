"""The handwritten digits that scikit-learn ships: 1,797 pictures of 8 by 8 pixels, from 0 (paper) to 16 (ink).

They are the test set of https://archive.ics.uci.edu/dataset/80 (CC BY 4.0): digits of 13 writers, one after the other
(believed: the data set does not name them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from training.interface import Contract


@dataclass(frozen=True)
class Digits:
    """Pictures and the digits in them."""

    images: NDArray[np.float32]
    """[N, height, width], scaled as the contract says."""
    digit: NDArray[np.int64]


def load(contract: Contract) -> Digits:
    """All pictures, in the order of the data set."""
    field = contract.fields["image"]
    known: Any = load_digits()
    if known.images.shape[1:] != (field.height, field.width):
        raise SystemExit(
            f"the pictures have {known.images.shape[1:]} pixels, and the contract others"
        )
    return Digits((known.images / 16 * field.maximum).astype(np.float32), known.target)
