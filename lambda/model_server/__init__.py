"""The flight delay model: trained on every flight that left New York in 2013, served as ONNX."""
