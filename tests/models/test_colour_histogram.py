import numpy as np

from magnostic.models import colour_histogram


def test_it_is_numpys_histogram_of_three_dimensions() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 9, 9, 3), dtype=np.uint8)
    found = colour_histogram.describe(images)
    assert found.shape == (3, colour_histogram.WIDTH)
    assert found.dtype == np.float32
    for row, image in zip(found, images, strict=True):
        edges = np.arange(0, 257, 32)
        counts, _ = np.histogramdd(image.reshape(-1, 3), bins=(edges, edges, edges))
        np.testing.assert_allclose(row, np.sqrt(counts.reshape(-1) / 81), rtol=1e-6)


def test_it_knows_no_shape() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    shuffled = rng.permutation(image.reshape(-1, 3)).reshape(image.shape)
    assert (colour_histogram.describe(image) == colour_histogram.describe(shuffled)).all()
