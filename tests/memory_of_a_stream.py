"""Run by test_streaming: how much memory a run takes for a file of bytes and a folder's pictures.

Prints the megabytes that the process has grown by, beyond what a small run has taken before.
"""

import resource
import sys

import numpy as np
import torch

from vaelab import models, networks, training


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def train(x):
    model = models.vae(networks.mlp(tuple(x.shape[1:]), latent_dim=4, hidden=(16,)))
    settings = {"epochs": 1, "validation": 0.05, "progress": False, "device": "cpu"}
    training.fit(model, x, **settings)
    model.codes(x)


if __name__ == "__main__":
    train(torch.zeros(2000, 3, 32, 32))
    before = peak()
    train(np.load(sys.argv[1], mmap_mode="r"))
    print(peak() - before)
