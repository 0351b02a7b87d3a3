"""A program that says why it ends, and ends; or one that never listens."""

import sys
import time

print("what it said last", flush=True)
if sys.argv[1] == "never":
    time.sleep(1000)
sys.exit(int(sys.argv[1]))
