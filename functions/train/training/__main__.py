"""`python -m training`: the SageMaker entry."""

import os
import sys

from .sagemaker import main

sys.exit(main(os.environ, sys.stdout))
