"""Data that stay on the disk against data in memory: images a second, and the memory taken.

The same small network is trained for one epoch on the same pictures in memory, from an `np.memmap`,
and from a folder of PNG files that is read as it goes (`vaelab train --stream`).

    python benchmarks/streaming.py [--n 4000] [--side 32]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from vaelab import models, networks, training
from vaelab.data import load_images


def pictures(folder: Path, n: int, side: int) -> None:
    """A folder of n pictures of soft noise."""
    rng = np.random.default_rng(0)
    for i in range(n):
        small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(small).resize((side, side)).save(folder / f"{i:06}.png")


def seconds(data, side: int) -> float:
    """Of one epoch."""
    model = models.vae(networks.infogan(3, side, latent_dim=16))
    began = time.perf_counter()
    training.fit(model, data, epochs=1, progress=False)
    return time.perf_counter() - began


def main() -> None:
    """Print a line a source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=4000)
    parser.add_argument("--side", type=int, default=32)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "set"
        folder.mkdir()
        pictures(folder, args.n, args.side)
        memory = load_images(folder).train_pixels
        np.save(Path(name) / "set.npy", memory.numpy())
        sources = {
            "memory": memory,
            "memmap": np.load(Path(name) / "set.npy", mmap_mode="r"),
            "folder": load_images(folder, stream=True).train_pixels,
        }
        seconds(memory[:200], args.side)
        for source, data in sources.items():
            print(f"{source:8}{len(memory) / seconds(data, args.side):9.0f} images a second")


if __name__ == "__main__":
    main()
