"""Inception score (Salimans et al. 2016), over any classifier's logits."""

import numpy as np
import torch
from torch import Tensor

SPLITS = 10
SEED = 2020                     # the order in which torch-fidelity shuffles


def inception_score(logits: Tensor, splits: int = SPLITS) -> tuple[float, float]:
    """Mean and standard deviation over splits of exp(E KL(p(y|x) || p(y))) of logits (N, classes).

    Images are shuffled first, because a split that lacks classes scores lower. N must be `splits` at least.
    """
    count = len(logits)
    shuffled = logits[torch.from_numpy(np.random.RandomState(SEED).permutation(count))].double()
    scores = []
    for k in range(splits):
        part = shuffled[k * count // splits : (k + 1) * count // splits]
        p, log_p = part.softmax(dim=1), part.log_softmax(dim=1)
        kl = (p * (log_p - p.mean(dim=0, keepdim=True).log())).sum(dim=1)
        scores.append(kl.mean().exp())
    values = torch.stack(scores)
    return float(values.mean()), float(values.std(correction=0))
