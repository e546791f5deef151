"""What Ctrl-C during training says."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during training; its sentence says what was kept and how to continue."""
