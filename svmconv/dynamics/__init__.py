"""Training a linear model: gradient flow in log time, and discrete descent."""
