"""What `import vaelab` costs beyond `import torch`, each time in a process of its own.

python benchmarks/imports.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

CODE = (
    "import time, torch; start = time.perf_counter(); import vaelab; print(time.perf_counter() - "
    "start)"
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    command = [sys.executable, "-c", CODE]
    times = [
        float(subprocess.run(command, check=True, capture_output=True).stdout)
        for _ in range(rounds)
    ]
    print(
        f"import vaelab: {1e3 * statistics.median(times):.1f} ms beyond import torch (median of "
        f"{rounds})"
    )


if __name__ == "__main__":
    main()
