"""The layers that BigGAN adds to convolutions: spectral norm, conditional batch norm, self-attention.

Notable:
- Spectral norm spends `iterations` power iterations a training forward pass; sigma is differentiated
  through W, never through u and v.
- In evaluation sigma comes from one more iteration from u, which is not stored, as in ajbrock's code
  (whatever the number of iterations in training); or, with `stored`, from the u and v of the last
  training pass, as in `torch.nn.utils.spectral_norm`, on which StudioGAN and Hugging Face build.
- Sigma is computed in the weight's own precision, also under autocast.
- A table of gains by class is a linear map of the one-hot label, so mixtures of classes work there too.

Deliberately absent: `torch.nn.utils.spectral_norm` itself, which rewrites the module's weight behind
its back.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan import distributed
from biggan.networks.batch_norm import batch_norm, multiply_add, scale_and_shift
from biggan.networks.recompute import PASS


class SpectralOptions(NamedTuple):
    """How a network normalises its weights."""

    enabled: bool = True
    eps: float = 1e-6           # least norm that the power iteration divides by
    iterations: int = 1         # of each training forward pass
    stored: bool = False        # in evaluation, sigma from the stored u and v


class Singular(NamedTuple):
    """Estimates of the largest singular value of a weight W (out, in) and of its vectors."""

    u: Tensor           # (out,)
    v: Tensor           # (in,)
    sigma: Tensor       # u^T W v, a scalar


class SpectralNorm(nn.Module):
    """Mixin for modules with a `weight`: `normalized_weight()` is W / sigma(W).

    sigma is the largest singular value of W flattened to (out, -1), estimated by power iteration
    (Miyato et al. 2018, algorithm 1).
    """

    weight: Tensor
    u: Tensor
    v: Tensor
    kept: Singular                      # of a forward pass that will be repeated (`recompute`)
    folded: Tensor | None = None        # W / sigma, where it is known already (`networks.folded`)

    def init_spectral_norm(self, sn: SpectralOptions) -> None:
        """Add the singular vectors' estimates: `u` (out,) from N(0, 1) and, if they are stored, `v` (in,)."""
        self.sn = sn
        if sn.enabled:
            self.register_buffer("u", torch.randn(self.weight.shape[0]))
        if sn.enabled and sn.stored:
            self.register_buffer("v", torch.randn(self.weight[0].numel()))

    def disable_spectral_norm(self) -> None:
        """Make `normalized_weight()` the weight itself."""
        self.sn = self.sn._replace(enabled=False)
        self._buffers.pop("u", None)
        self._buffers.pop("v", None)

    def normalized_weight(self) -> Tensor:
        """W / sigma(W), of W's shape; in training mode `u` (and `v`) take the power iterations."""
        if self.folded is not None:
            return self.folded
        if not self.sn.enabled:
            return self.weight
        with torch.autocast(self.weight.device.type, enabled=False):
            return _Normalized.apply(self.weight, *self.singular())  # type: ignore[no-untyped-call]

    def singular(self) -> Singular:
        """What the next forward pass divides by, and its vectors; in training mode they move."""
        W = self.weight.detach().flatten(1)                                     # (out, in)
        if self.sn.stored and not self.training:
            u, v = self.u.clone(), self.v.clone()       # a later training pass may move them before backward
            return Singular(u, v, torch.dot(u, W @ v))
        return self.power_iteration(W, self.sn.iterations if self.training else 1)

    @torch.no_grad()
    def power_iteration(self, W: Tensor, iterations: int) -> Singular:
        """The estimates after some iterations, stored in training mode; W (out, in)."""
        if PASS.get() == "second":
            return self.kept
        u = self.u
        for _ in range(iterations):
            v = F.normalize(W.T @ u, dim=0, eps=self.sn.eps)                    # (in,)
            Wv = W @ v
            u = F.normalize(Wv, dim=0, eps=self.sn.eps)                         # (out,)
        if self.training:
            self.u.copy_(u)
        if self.training and self.sn.stored:
            self.v.copy_(v)
        estimates = Singular(u, v, torch.dot(u, Wv))
        if PASS.get() == "first":
            self.kept = estimates
        return estimates


class _Normalized(torch.autograd.Function):
    """W / sigma with sigma = u^T W v: of a gradient G, dW = (G - <G, W / sigma> u v^T) / sigma.

    Autograd would come to the same in twice as many passes over the weights.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, u: Tensor, v: Tensor, sigma: Tensor) -> Tensor:
        ctx.save_for_backward(weight, u, v, sigma)
        return weight * sigma.reciprocal()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, G: Tensor) -> tuple[Tensor, None, None, None]:
        weight, u, v, sigma = ctx.saved_tensors
        r, G = sigma.reciprocal(), G.flatten(1)         # (out, in), a copy where G is channels last
        part = torch.dot(G.flatten(), weight.flatten()) * r
        return torch.addr(G, u * part, v, alpha=-1).mul_(r).view_as(weight), None, None, None


class SpectralConv2d(SpectralNorm, nn.Conv2d):
    """A convolution whose weight is divided by its largest singular value."""

    def __init__(
        self,
        in_channels: int,           # channels of x
        out_channels: int,          # channels of the result
        kernel_size: int,           # 1 or 3; the resolution stays
        *,
        bias: bool = True,          # add a learned bias
        sn: SpectralOptions,        # spectral normalisation
    ) -> None:
        nn.Conv2d.__init__(self, in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
        self.init_spectral_norm(sn)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.normalized_weight(), self.bias, padding=self.padding)


class SpectralLinear(SpectralNorm, nn.Linear):
    """A linear layer whose weight is divided by its largest singular value."""

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True, sn: SpectralOptions) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias=bias)
        self.init_spectral_norm(sn)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.normalized_weight(), self.bias)


class Embedding(nn.Embedding):
    """An embedding table that leaves its weight to `networks.init`.

    nn.Embedding's own N(0, 1), drawn on the meta device, imports PyTorch's compiler: two seconds before
    every sample.
    """

    def reset_parameters(self) -> None:
        """Draw nothing."""


class SpectralEmbedding(SpectralNorm, Embedding):
    """An embedding table divided by its largest singular value."""

    def __init__(self, num_embeddings: int, embedding_dim: int, *, sn: SpectralOptions) -> None:
        Embedding.__init__(self, num_embeddings, embedding_dim)
        self.init_spectral_norm(sn)

    def forward(self, y: Tensor) -> Tensor:
        return F.embedding(y, self.normalized_weight())


class BatchNorm2d(nn.Module):
    """Batch normalisation without affine parameters; the owner of the running statistics.

    `momentum` is the weight of a new batch in the running statistics; None makes them the plain
    average over all batches since `reset_statistics()`: standing statistics (Brock et al., 2019, 2).
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.momentum: float | None = 0.1
        self.batches_averaged = 0
        self.cross_replica = False      # batch statistics over all processes
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def reset_statistics(self) -> None:
        """Forget the running statistics."""
        self.running_mean.zero_()
        self.running_var.fill_(1)
        self.batches_averaged = 0

    def normalize_affine(self, x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        """(x - mean) / sqrt(var + eps) * gain + bias, by batch statistics in training mode, else by running ones."""
        if not self.training:
            return multiply_add(x, *scale_and_shift(self.running_mean, self.running_var, gain, bias, self.eps))
        result, mean, var = batch_norm(x, gain, bias, self.eps, self.cross_replica)
        if PASS.get() != "second":
            self.remember(mean, var, x.numel() // x.shape[1])
        return result

    @torch.no_grad()
    def remember(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Let the running statistics take in those of a batch: `count` values a channel, here, and their moments."""
        self.batches_averaged += self.momentum is None
        momentum = 1 / self.batches_averaged if self.momentum is None else self.momentum
        count *= distributed.world_size() if self.cross_replica else 1
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((var * count / max(count - 1, 1)).to(self.running_var.dtype), momentum)


class AffineBatchNorm2d(BatchNorm2d):
    """Batch normalisation with a learned gain and bias a channel: G's last, unconditional one."""

    def __init__(self, channels: int, *, eps: float) -> None:
        super().__init__(channels, eps=eps)
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.normalize_affine(x, self.gain, self.bias)


class ConditionalBatchNorm2d(BatchNorm2d):
    """Batch normalisation whose gain and bias are linear in the condition (B, condition_dim).

    gain = 1 + W_g c and bias = W_b c, both linear maps spectrally normalised and without bias term.
    Without the 1 the deep networks do not train. With c the one-hot label W_g and W_b are tables.
    """

    def __init__(
        self,
        channels: int,              # channels of x
        condition_dim: int,         # size of the condition c
        *,
        bn_eps: float,              # epsilon of batch normalisation
        sn: SpectralOptions,        # of W_g and W_b
    ) -> None:
        super().__init__(channels, eps=bn_eps)
        self.gain = SpectralLinear(condition_dim, channels, bias=False, sn=sn)
        self.bias = SpectralLinear(condition_dim, channels, bias=False, sn=sn)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):      # small products, slower in bf16 and coarser
            gain, bias = 1 + self.gain(condition), self.bias(condition)
        return self.normalize_affine(x, gain, bias)


def channels_last(x: Tensor) -> Tensor:
    """The same (B, C, H, W) tensor laid out as NHWC in memory, with strides that say so.

    `x.contiguous(memory_format=torch.channels_last)` leaves a one-channel tensor's strides
    ambiguous, and the convolutions after it fall back to the slow layout.
    """
    B, C, H, W = x.shape
    return x.permute(0, 2, 3, 1).flatten().view(B, H, W, C).permute(0, 3, 1, 2)


class SelfAttention2d(nn.Module):
    """Self-attention over positions, as in the SA-GAN authors' code: x + gamma * o(attention).

    Queries theta(x) and keys phi(x) have C/8 channels, values g(x) have C/2; keys and values are
    max-pooled by 2; there is no 1/sqrt(d); gamma starts at 0.

    The fused kernels of attention, which never write its weights down, want queries and keys as wide as values.
    Zeros behind theirs change no product and come from zeros in the kernels; and keys and values are made by one
    convolution, and gamma scales o's kernel, because passes over maps are what attention costs.
    """

    def __init__(self, channels: int, *, sn: SpectralOptions) -> None:
        super().__init__()
        narrow, half = max(channels // 8, 1), max(channels // 2, 1)
        self.theta = SpectralConv2d(channels, narrow, 1, bias=False, sn=sn)
        self.phi = SpectralConv2d(channels, narrow, 1, bias=False, sn=sn)
        self.g = SpectralConv2d(channels, half, 1, bias=False, sn=sn)
        self.o = SpectralConv2d(half, channels, 1, bias=False, sn=sn)
        self.gamma = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        theta, phi, g, o = (conv.normalized_weight() for conv in (self.theta, self.phi, self.g, self.o))
        zeros = (0, 0, 0, 0, 0, 0, 0, len(g) - len(theta))                      # below the C/8 rows
        query = rows(F.conv2d(x, F.pad(theta, zeros)))                          # (B, 1, HW, C/2)
        both = F.max_pool2d(F.conv2d(x, torch.cat([F.pad(phi, zeros), g])), 2)  # (B, C, H/2, W/2)
        key, value = rows(both).chunk(2, dim=3)                                 # (B, 1, HW/4, C/2) each
        mixed = F.scaled_dot_product_attention(query, key, value, scale=1.0)    # (B, 1, HW, C/2)
        mixed = mixed.squeeze(1).mT.unflatten(2, x.shape[2:])                   # (B, C/2, H, W)
        return x + F.conv2d(mixed, self.gamma * o)


def rows(maps: Tensor) -> Tensor:
    """Maps (B, C, H, W) as the rows of one attention head: (B, 1, HW, C)."""
    return maps.flatten(2).mT[:, None]
