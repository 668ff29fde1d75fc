"""scikit-learn's digits, which need no download."""

from __future__ import annotations

import numpy as np
import torch

from vaelab.data.images import Images, resize

_SPLIT_SEED = 0
_N_DIGITS_TRAIN = 1297


def load_digits_split(side: int | None) -> Images:
    """The split: numpy.random.default_rng(0).permutation(1797), its first 1297 for training, the
    other 500 for test.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(bunch.images))
    x = torch.from_numpy((bunch.images[order] / 16).astype(np.float32)).unsqueeze(1)
    y = torch.from_numpy(bunch.target[order].astype(np.int64))
    train, test = resize(x, side).tensor_split([_N_DIGITS_TRAIN])
    y_train, y_test = y.tensor_split([_N_DIGITS_TRAIN])
    source = (
        "Handwritten digits (Alpaydin & Kaynak 1998, UCI repository, the test part), as in "
        "scikit-learn."
    )
    return Images("digits", train, test, y_train, y_test, tuple(map(str, range(10))), source)
