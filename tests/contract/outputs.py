"""The outputs of a stack: the same names on every cloud, under mocks and from the real engine."""

OUTPUTS = frozenset(
    {
        "cloud",
        "environment",
        "lake_uri",
        "image",
        "model_version",
        "endpoint_name",
        "endpoint_url",
        "gateway_url",
        "gateway_key",
    }
)
