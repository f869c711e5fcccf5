"""Photographs on disk, and the images table made of them."""

from magnostic.data.images import BadFile, Images
from magnostic.data.read import read_images, read_sets
from magnostic.data.scan import Wanted

__all__ = ["BadFile", "Images", "Wanted", "read_images", "read_sets"]
