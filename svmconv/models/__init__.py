"""Network families: each returns logits and its named hidden activations."""

from svmconv.models.last_layer import last_layer as last_layer
from svmconv.models.mlp import MLP as MLP
