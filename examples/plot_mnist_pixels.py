"""One modality a pixel
====================

Images of which half the pixels are missing, filled in::

    python examples/plot_mnist_pixels.py               # sklearn's digits, 64 pixels, half a minute
    python examples/plot_mnist_pixels.py --mnist FILE  # MNIST, 784 pixels, a quarter of an hour

Each pixel is a modality of its own, and all share one encoder and one decoder, which are told by a
learned vector which pixel they see (``skpoe.nn.Shared``). The posterior is the product of what the
observed pixels say. Prints the error of the pixels that were hidden, and writes ``pixels.png``:
images, what is shown of them, and how they are filled in.
"""

import argparse

import numpy as np

from skpoe import PoEVAE
from skpoe.datasets import load_digits_pixels, load_mnist_pixels
from skpoe.nn import Shared


def load(mnist, missing, n_rows):
    """Binary images with holes and without, for training and for testing, and their side."""
    if mnist is not None:
        parts = [
            load_mnist_pixels(mnist, subset=subset, missing=missing, random_state=seed)
            for seed, subset in enumerate(("train", "test"))
        ]
        (train, _), (test, complete) = ((p.data, p.complete) for p in parts)
        return train[:n_rows], test[:500], complete[:500], 28
    digits = load_digits_pixels(missing=missing, random_state=0)
    binary = np.where(np.isnan(digits.data), np.nan, digits.data > 7)
    return (
        binary[: min(n_rows, 1500)],
        binary[1500:],
        (digits.complete > 7).astype(float)[1500:],
        8,
    )


def draw(path, side, *rows):
    """Rows of images below each other, in grey; what is missing is in colour."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    colours = plt.get_cmap("gray_r").with_extremes(bad="#cfe3f5")
    n_images = len(rows[0][1])
    figure, axes = plt.subplots(len(rows), n_images, figsize=(n_images, 1.15 * len(rows)))
    for line, (name, images) in zip(axes, rows, strict=True):
        line[0].set_ylabel(name)
        for axis, image in zip(line, images, strict=True):
            axis.imshow(image.reshape(side, side), cmap=colours, vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist")
    parser.add_argument("--missing", type=float, default=0.5)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--picture", default="pixels.png")
    args = parser.parse_args()
    train, test, complete, side = load(args.mnist, args.missing, args.rows)
    n_pixels = side * side
    # two networks in all; the vectors that tell pixels apart are theirs together
    pixel = Shared(embedding_dim=32, tied=True)
    vae = PoEVAE(
        modalities=[1] * n_pixels,
        likelihood="bernoulli",
        encoder=pixel,
        decoder=pixel,
        latent_dim=20,
        hidden_layer_sizes=(128,),
        batch_size=64,
        max_iter=args.epochs or (30 if args.mnist else 100),
        early_stopping=False,
        n_importance_samples=20,
        verbose=1,
        random_state=0,
    ).fit(train)
    filled = vae.predict_missing(test)
    hidden = np.isnan(test)
    mean = np.broadcast_to(np.nanmean(train, axis=0), test.shape)
    print(f"{n_pixels} modalities, {args.missing:.0%} missing, {len(train)} images")
    for name, guess in {"mean of the pixel": mean, "PoEVAE": filled}.items():
        error = np.sqrt(np.mean((guess - complete)[hidden] ** 2))
        print(f"root mean squared error of hidden pixels, {name:<18}{error:.3f}")
    draw(
        args.picture,
        side,
        ("true", complete[:10]),
        ("shown", test[:10]),
        ("filled in", filled[:10]),
    )
    print(f"wrote {args.picture}")


if __name__ == "__main__":
    main()
