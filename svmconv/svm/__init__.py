"""The exact hard-margin SVM: programs, constraint generation, polish, certificate (no jax)."""
