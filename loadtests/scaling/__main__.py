"""``python -m loadtests.scaling``."""

import sys

from .run import main

sys.exit(main())
