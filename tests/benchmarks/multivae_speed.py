"""Training loops of the package multivae, as contestants of speed.py."""

import contextlib
import io
import tempfile
import time

import multivae_digits
import torch

# method -> the peer's, and its options
THEIRS = {
    "PoE": ("MVAE", {"use_subsampling": False, "warmup": 0}),
    "MVAE": ("MVAE", {"warmup": 0}),
    "MMVAE": ("MMVAE", {"K": 10, "loss": "dreg_looser"}),
    "MoPoE": ("MoPoE", {}),
}


def trained(method, blocks, size, seed, latent, hidden):
    """Make a function that takes CPU seconds of so many epochs; None without such a method.

    It keeps the model of its last call as its attribute ``model``.
    """
    if method not in THEIRS:
        return None
    multivae_digits.LATENT, multivae_digits.HIDDEN = latent, hidden
    peer = multivae_digits.import_peer()
    kind, options = THEIRS[method]
    data = {f"m{m}": torch.from_numpy(block) for m, block in enumerate(blocks)}
    width = blocks.shape[2]

    def run(n_epochs):
        torch.manual_seed(seed)
        config = getattr(peer.models, f"{kind}Config")(
            n_modalities=len(data),
            latent_dim=latent,
            input_dims=dict.fromkeys(data, (width,)),
            decoders_dist=dict.fromkeys(data, "bernoulli"),
            beta=1.0,
            **options,
        )
        networks = {
            "encoders": {name: peer.encoder(width, 0) for name in data},
            "decoders": {name: peer.decoder(width, 0) for name in data},
        }
        model = getattr(peer.models, kind)(config, **networks)
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.redirect_stderr(io.StringIO()),  # progress bars
        ):
            training = peer.trainer_config(
                output_dir=folder,
                num_epochs=n_epochs,
                per_device_train_batch_size=size,
                learning_rate=1e-3,
                optimizer_cls="Adam",
                no_cuda=True,
                seed=seed,
            )
            trainer = peer.trainer(model, peer.dataset(data), training_config=training)
            began = time.process_time()
            trainer.train()
            run.model = model
            return time.process_time() - began

    return run
