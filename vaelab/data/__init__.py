"""Images to learn from: digits, MNIST, Fashion-MNIST, CIFAR-10, CelebA, or a folder of your own
pictures.

Everything comes as float32 in [0, 1] and of shape (n, channels, height, width), training and test
images apart. The digits need no download. The others are looked for under a data root, in
torchvision's layout, and downloaded by torchvision if they are absent. The root is the argument
`root`, else the environment variable VAELAB_DATA, else the folder data/ of the checkout this
package sits in, else ~/.cache/vaelab.
"""

from vaelab.data.images import Images
from vaelab.data.loading import NAMES, load_images
from vaelab.data.roots import data_root

__all__ = ["NAMES", "Images", "data_root", "load_images"]
