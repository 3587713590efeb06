"""``python -m loadtests.profiles``."""

import sys

from .run import main

sys.exit(main())
