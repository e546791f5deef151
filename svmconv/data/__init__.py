"""Data sets: problems with a known SVM, simulated sets, images. Each is a Problem."""

from svmconv.data.digits import digits as digits
from svmconv.data.images import cifar10 as cifar10
from svmconv.data.images import fashion_mnist as fashion_mnist
from svmconv.data.images import mnist as mnist
from svmconv.data.planted import planted as planted
from svmconv.data.synthetic import blobs as blobs
from svmconv.data.synthetic import disc as disc
from svmconv.data.synthetic import half_plane as half_plane
from svmconv.data.synthetic import half_spaces as half_spaces
from svmconv.data.synthetic import moons as moons
from svmconv.data.synthetic import multiclass_blobs as multiclass_blobs
from svmconv.data.synthetic import sectors as sectors
