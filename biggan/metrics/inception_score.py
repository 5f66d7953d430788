"""Inception score (Salimans et al. 2016), over any classifier's logits."""

import torch
from torch import Tensor


def inception_score(logits: Tensor, splits: int = 10) -> tuple[float, float]:
    """Mean and standard deviation over splits of exp(E KL(p(y|x) || p(y))) of logits (N, classes).

    Splits are contiguous, as in the original code: images sorted by class would need shuffling first.
    """
    scores = []
    for part in logits.double().tensor_split(splits):
        p, log_p = part.softmax(dim=1), part.log_softmax(dim=1)
        kl = (p * (log_p - p.mean(dim=0, keepdim=True).log())).sum(dim=1)
        scores.append(kl.mean().exp())
    values = torch.stack(scores)
    return float(values.mean()), float(values.std(correction=0))
