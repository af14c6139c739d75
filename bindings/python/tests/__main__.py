"""Runs all tests, or those that are named, against the package that is installed; ends with `N passed, N failed`."""

import os
import signal
import sys
import unittest

here = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = here
# A shell starts what runs in its background with SIGINT ignored, and the programs of the tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
loader = unittest.TestLoader()
suite = loader.loadTestsFromNames(sys.argv[1:]) if sys.argv[1:] else loader.discover(here)
result = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(suite)
failed = len(result.failures) + len(result.errors)
skipped = len(result.skipped)
for test, why in result.skipped:
    print(f"skipped: {test}: {why}")
print(f"{result.testsRun - failed - skipped} passed, {failed} failed, {skipped} skipped", flush=True)
os._exit(1 if failed else 0)  # a failure must not become a hang
