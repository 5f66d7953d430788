import torch


def features(n: int, width: int, shift: float = 0.0, seed: int = 0) -> torch.Tensor:
    """Normal features (n, width), float32."""
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed)) + shift
