"""Every test runs with shapes and types checked, in a fixed order of arithmetic, off screen."""

import os
import sys

# As in the Makefile: without compiled modules every process that a test starts takes 7 s more.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Before numpy loads: one thread, so that sums are taken in the same order on every machine.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["MPLBACKEND"] = "Agg"

import jax
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

from tests import typecheck

install_import_hook("svmconv", f"{typecheck.__name__}.check_types")

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)  # so that runs divide among devices

settings.register_profile(
    "svmconv",
    derandomize=True,
    deadline=None,  # the first example of a property pays for compilation
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("svmconv")
