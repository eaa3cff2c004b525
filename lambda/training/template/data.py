"""The data that train.py trains on. These customers are made up: put your own here."""

from __future__ import annotations

import numpy as np
import pandas as pd
from training.interface import Contract

ROWS = 5000


def load(contract: Contract) -> pd.DataFrame:
    """One row a customer: the fields of the contract, and ``leaves``.

    Data in this folder (a CSV, say) is noticed when it changes. For data from anywhere else add a function
    ``digest() -> str`` that changes with it; otherwise `make train` finds the version that it trained before.
    """
    random = np.random.default_rng(1)
    months = random.integers(0, 120, ROWS)
    plan = random.choice(list(contract.fields["plan"].values), ROWS)
    spent = random.gamma(2, 20, ROWS).round(2)
    score = 1.5 - months / 20 - spent / 50 + (plan == "basic")
    leaves = random.random(ROWS) < 1 / (1 + np.exp(-score))
    table = pd.DataFrame({"plan": plan, "months": months, "spent": spent, "leaves": leaves})
    table["spent"] = table["spent"].where(random.random(ROWS) > 0.1)  # a tenth is unknown
    return table
