"""svmconv: exactly, and with certificates, how training turns a last layer into an SVM.

The public names below load on first use, so that `import svmconv` stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from svmconv import data as data
    from svmconv import measures as measures
    from svmconv import optimizers as optimizers
    from svmconv import results as results
    from svmconv import sweep as sweep
    from svmconv import theory as theory
    from svmconv.devices import use_cores as use_cores
    from svmconv.dynamics.descent import descend as descend
    from svmconv.dynamics.flow import gradient_flow as gradient_flow
    from svmconv.dynamics.recording import Interrupted as Interrupted
    from svmconv.errors import CertificateError as CertificateError
    from svmconv.errors import DataError as DataError
    from svmconv.errors import DivergedError as DivergedError
    from svmconv.errors import NotSeparableError as NotSeparableError
    from svmconv.errors import SvmconvError as SvmconvError
    from svmconv.measures.audit import audit as audit
    from svmconv.measures.gaps import gaps as gaps
    from svmconv.models.last_layer import last_layer as last_layer
    from svmconv.problem import Problem as Problem
    from svmconv.svm.result import MaxMargin as MaxMargin
    from svmconv.svm.solve import max_margin as max_margin
    from svmconv.theory.verify import verify as verify
    from svmconv.training.tracker import Tracker as Tracker

__version__ = "0.1.0"

_MODULES = {"data", "measures", "optimizers", "results", "sweep", "theory"}
_NAMES = {
    "CertificateError": "svmconv.errors",
    "DataError": "svmconv.errors",
    "DivergedError": "svmconv.errors",
    "Interrupted": "svmconv.dynamics.recording",
    "MaxMargin": "svmconv.svm.result",
    "NotSeparableError": "svmconv.errors",
    "Problem": "svmconv.problem",
    "SvmconvError": "svmconv.errors",
    "Tracker": "svmconv.training.tracker",
    "audit": "svmconv.measures.audit",
    "descend": "svmconv.dynamics.descent",
    "gaps": "svmconv.measures.gaps",
    "gradient_flow": "svmconv.dynamics.flow",
    "last_layer": "svmconv.models.last_layer",
    "max_margin": "svmconv.svm.solve",
    "use_cores": "svmconv.devices",
    "verify": "svmconv.theory.verify",
}
__all__ = sorted([*_MODULES, *_NAMES])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"svmconv.{name}")
    if name in _NAMES:
        value = getattr(import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'svmconv' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
