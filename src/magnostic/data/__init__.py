"""Photographs on disk, and the images table made of them."""

from magnostic.data.images import BadFile, Images
from magnostic.data.read import read_images, read_sets

__all__ = ["BadFile", "Images", "read_images", "read_sets"]
