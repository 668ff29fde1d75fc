"""The features in which Fréchet distances are measured here: those of a small classifier, or
principal components.

The usual Fréchet distance (FID) looks at images through an Inception network trained on ImageNet,
whose weights are a download of 90 MB and which was made for colour photographs of 299×299 pixels.
For images of 8×8 or 28×28 a classifier of the same data set sees more and costs nothing. Its
distances live on a scale of their own: they compare models on one data set and in one feature
space, whose name stands beside every figure, and they are never called FID.

The classifiers of digits, MNIST, Fashion-MNIST and CIFAR-10 ship with the package. `python -m
vaelab.features mnist` trains and writes one again. `inception` is the usual network, where its
weights can be had.
"""

from vaelab.features.classifier import Classifier, FeatureNetwork, accuracy, train_classifier
from vaelab.features.inception_v3 import inception
from vaelab.features.shipped import (
    RECIPES,
    SHIPPED,
    TRAINED_ON,
    load_classifier,
    ship_classifier,
)
from vaelab.features.space import FeatureSpace, PrincipalComponents, features_for

__all__ = [
    "RECIPES",
    "SHIPPED",
    "TRAINED_ON",
    "Classifier",
    "FeatureNetwork",
    "FeatureSpace",
    "PrincipalComponents",
    "accuracy",
    "features_for",
    "inception",
    "load_classifier",
    "ship_classifier",
    "train_classifier",
]
