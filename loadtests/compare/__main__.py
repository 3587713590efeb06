"""``python -m loadtests.compare``: see README.md."""

import sys

from .run import main

sys.exit(main())
