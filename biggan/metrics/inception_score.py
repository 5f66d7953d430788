"""Inception score (Salimans et al. 2016), over any classifier's logits."""

import torch
from torch import Tensor


def inception_score(logits: Tensor, splits: int = 10) -> tuple[float, float]:
    """Mean and standard deviation over splits of exp(E KL(p(y|x) || p(y))) of logits (N, classes).

    Splits are interleaved (image i belongs to split i mod `splits`), so that images sorted by class
    are dealt out evenly.
    """
    scores = []
    for split in range(splits):
        p = logits[split::splits].double().softmax(dim=1)
        log_p = logits[split::splits].double().log_softmax(dim=1)
        kl = (p * (log_p - p.mean(dim=0, keepdim=True).log())).sum(dim=1)
        scores.append(kl.mean().exp())
    values = torch.stack(scores)
    return float(values.mean()), float(values.std(correction=0))
