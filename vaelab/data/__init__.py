"""Images to learn from: digits, Fashion-MNIST, MNIST, CIFAR-10, CelebA, or a folder of your own
pictures.

Images have the shape (n, channels, height, width), training and test images apart. They stay bytes
until floats in [0, 1] are asked for. The digits and six thousand pictures of Fashion-MNIST
("fashion-small") need no download, nor do the coloured shapes ("shapes", or the function `shapes`),
which are drawn by code and come with the factors that made them. The others are looked for under a
data root, in torchvision's layout, and downloaded by torchvision if they are absent. The root is
the argument `root`, else the environment variable VAELAB_DATA, else the folder data/ of the
checkout this package sits in, else ~/.cache/vaelab.
"""

from vaelab.data.drawn import shapes
from vaelab.data.images import Images, unit
from vaelab.data.loading import NAMES, load_images
from vaelab.data.roots import data_root

__all__ = ["NAMES", "Images", "data_root", "load_images", "shapes", "unit"]
