"""Network families: each returns logits and its named hidden activations."""

from svmconv.models.alexnet import AlexNet as AlexNet
from svmconv.models.cnn import CNN as CNN
from svmconv.models.dbn import DBN as DBN
from svmconv.models.densenet import DenseNet as DenseNet
from svmconv.models.googlenet import GoogLeNet as GoogLeNet
from svmconv.models.last_layer import last_layer as last_layer
from svmconv.models.mlp import MLP as MLP
from svmconv.models.resnet import ResNet as ResNet
from svmconv.models.vgg import VGG as VGG
from svmconv.models.vit import ViT as ViT
