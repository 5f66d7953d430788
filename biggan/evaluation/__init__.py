"""From a model and real images to numbers, with the protocol that makes them comparable.

    result = evaluate(model, data, num=2000)        # result["metrics"]["fid"], result["protocol"]

`measure` has `evaluate`; `protocol` the named protocols and what stands beside a number; `results` says when two
may be ranked; `sides` opens the real images; `extractors` makes what looks at images; `chunks` and `reference`
look at many, in several processes, so that nothing is lost or looked at twice; `drawing`, `gan_train` and
`memorisation` are what their names say.
"""

from biggan.evaluation.extractors import cached_classifier
from biggan.evaluation.measure import check_images, evaluate
from biggan.evaluation.protocol import PROTOCOLS, Protocol
from biggan.evaluation.results import compare

__all__ = ["PROTOCOLS", "Protocol", "cached_classifier", "check_images", "compare", "evaluate"]
