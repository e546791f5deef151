"""`python -m svmconv.cli` is `svmconv`."""

import sys

from svmconv.cli import main

sys.exit(main())
