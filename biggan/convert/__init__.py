"""Foreign weights in and out: ajbrock's BigGAN-PyTorch, Hugging Face's port of TF-Hub, PyTorch-StudioGAN.

    from biggan.convert import ajbrock
    model = ajbrock.load(torch.load("G_ema.pth", weights_only=True))
    images = model.generate(y=[207], threshold=0.5)

Each reference is one file with its table of names; `weights` holds what they share: strict
book-keeping of keys, and the inference of a configuration from shapes. `files` reads what users have
on disk. A `load` takes state dicts and returns a `BigGAN` in evaluation mode that computes what the
reference computes; float64 in gives float64 out, anything else float32.

Deliberately absent: optimizer states, which belong to another optimizer, and a converter of TF-Hub's
own graphs, which needs TensorFlow 1.
"""

from biggan.convert import ajbrock, huggingface, studiogan

__all__ = ["ajbrock", "huggingface", "studiogan"]
