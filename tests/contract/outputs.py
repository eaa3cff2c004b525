"""The outputs of a stack: the same names on every cloud, under mocks and from the real engine."""

OUTPUTS = frozenset(
    {
        "cloud",
        "environment",
        "lake_uri",
        "image",
        "models",
        "gateway_url",
        "gateway_key",
    }
)
MODEL_OUTPUTS = frozenset({"version", "endpoint_name", "endpoint_url"})
"""What ``models`` has of each model, by its name."""
