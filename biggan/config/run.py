"""`TrainConfig`: one run, its data, batch, schedule, objective, precision and cadence."""

from dataclasses import dataclass
from typing import Literal

from biggan.config.fields import at_least, betas, coerce, flag, greater_than_zero, join, require, setting, unknown_name
from biggan.errors import UserError


@dataclass(frozen=True)
class TrainConfig:
    """One training run: its data, batch, schedule, precision and cadence."""

    # The data
    data:        str = setting("digits", "digits, or a folder: one sub-folder of images a class, or IDX files")
    fit: Literal["crop", "pad"] = setting("crop", "bring images to size by a centre crop and resizing, or by padding")
    flip:        bool = setting(False, "mirror half of the real images horizontally")
    class_names: tuple[str, ...] = setting((), "names of the classes, where the data has none")
    real_labels: Literal["natural", "balanced", "sqrt"] = setting(
        "natural", "how often real images of a class are shown: by its size, all alike, or by its size's root")
    fake_labels: Literal["natural", "balanced", "sqrt"] = setting(
        "balanced", "how often images of a class are generated")

    # The weights to begin from
    init:         str = setting("", "fine-tune: begin from this run or export; its networks are those of the new run")
    init_classes: tuple[str, ...] = setting(
        (), "what new classes begin as: new=old, or new=old+old for their mean; by default classes of the same name")
    init_others: Literal["nearest", "mixed", "mean", "fresh"] = setting(
        "nearest", "what all other classes begin as: the old class that is drawn most like it, old classes mixed by "
        "likeness, the mean of all, or at random")
    freeze_d:     int = setting(0, "D's layers that see maps of this height or more stay as --init has them; 0: none")
    freeze_g:     int = setting(0, "G's layers that make maps of this height or more stay as --init has them")

    # The schedule
    images:          int = setting(64 * 10_000, "length of the run in images seen; or give --steps")
    batch_size:      int = setting(64, "images of one optimizer step (global batch)")
    microbatch_size: int = setting(0, "images of one backward pass; 0 means the whole batch")
    d_steps:         int = setting(1, "discriminator steps for each generator step")

    # The objective
    objective: Literal["hinge", "non-saturating", "minimax", "wasserstein", "least-squares"] = setting(
        "hinge", "the adversarial loss")
    hinge_margin:    float = setting(1.0, "hinge: the logit beyond which D's loss is 0")
    label_smoothing: float = setting(0.0, "non-saturating, minimax: real images get the target 1 minus this")
    g_ortho: float = setting(0.0, "orthogonal regularization of G: twice the paper's beta; 0 for none")
    d_ortho: float = setting(0.0, "orthogonal regularization of D")
    ortho: Literal["off-diagonal", "full"] = setting("off-diagonal", "drive W W^T o (1 - I) or W W^T - I to 0")

    r1:              float = setting(0.0, "gamma of the gradient penalty gamma/2 E[|grad D(x)|^2]; 0 for none")
    r1_every:        int = setting(16, "D steps from one gradient penalty to the next; it counts that much more")
    lecam:           float = setting(0.0, "weight of LeCam regularization, which holds D's logits near their averages")
    lecam_decay:     float = setting(0.99, "decay of LeCam's averages of logits, each D step")
    lecam_start:     int = setting(0, "images seen before LeCam begins; 0 means 1,000 batches")
    consistency_real: float = setting(0.0, "weight of consistency regularization (CR): D(x) against D(T(x))")
    consistency_fake: float = setting(0.0, "the same on fakes; both are balanced consistency (bCR)")
    consistency_augment: tuple[Literal["color", "translation", "cutout", "flip"], ...] = setting(
        ("flip", "translation"), "T of consistency regularization: color, translation, cutout, flip")
    augment: tuple[Literal["color", "translation", "cutout", "flip"], ...] = setting(
        (), "differentiable augmentation of all that D sees: color, translation, cutout, flip")
    top_k:           float = setting(1.0, "part of the fakes, those D rates best, that G learns from in the end")
    top_k_images:    int = setting(0, "images seen until --top-k is reached, from 1 down; 0 for at once")
    g_clip:          float = setting(0.0, "largest norm of G's gradient; 0 for no clipping")
    d_clip:          float = setting(0.0, "largest norm of D's gradient")

    # The moving average of G
    ema_decay:       float = setting(0.9999, "decay of the weights' moving average, each step")
    ema_start:       int = setting(0, "images seen before averaging starts")
    ema_half_life:   int = setting(0, "half-life of the average in images, instead of a decay; 0 for the decay")
    ema_ramp_up:     float = setting(0.05, "the half-life is at most this part of the images seen; 0 for no limit")
    ema_buffers: Literal["copy", "average"] = setting("copy", "the average's buffers: G's own, or averaged too")

    # The machine
    seed:      int = setting(0, "everything random derives from it")
    device:    str = setting("auto", "auto, cpu, cuda or mps")
    shard:     bool = setting(False, "several processes: each keeps a part of every weight (FSDP2)")
    precision: Literal["auto", "bf16", "fp32"] = setting("auto", "auto is bf16 where the hardware has it")
    compile:   bool = setting(False, "compile the networks by torch.compile; on CPUs it is slower so far")
    checkpoint_activations: bool = setting(False, "less memory: compute inner activations again for the backward pass")

    # The cadence, in images seen
    log_every:        int = setting(64 * 50, "images between log lines")
    preview_every:    int = setting(64 * 1000, "images between preview sheets; 0 for none")
    checkpoint_every: int = setting(64 * 1000, "images between checkpoints")
    track: tuple[Literal["tensorboard", "wandb"], ...] = setting(
        (), "where the log's numbers go too: tensorboard, wandb")
    keep_checkpoints: int = setting(2, "how many of the newest checkpoints to keep")
    keep_span:        int = setting(0, "older ones reach back this many images; 0 means 20,000 batches")
    keep_ring:        int = setting(4, "about how many older ones are spread over --keep-span")
    evaluate_num:     int = setting(0, "images drawn to evaluate the model; 0 for no evaluation, or the protocol's")
    evaluate_protocol: str = setting("", "what is measured, as `biggan protocols` lists; \"\" for the first of them")
    evaluate_every:   int = setting(0, "images between evaluations, each with a checkpoint; 0 for every checkpoint")
    best_metric: Literal["fid", "kid", "is_mean", "precision", "recall", "density", "coverage", "label_accuracy"] = (
        setting("fid", "the best checkpoint by this metric is kept, where there is an evaluation"))

    # The watchdog
    watch: Literal["off", "warn", "stop", "rollback"] = setting("warn", "what to do when training collapses")
    watch_every:      int = setting(0, "images between looks; 0 means 100 batches")
    watch_growth:     float = setting(4.0, "alarm: a weight's largest singular value grew so many times in 5 looks")
    watch_logits:     float = setting(50.0, "alarm: the mean size of D's logits")
    watch_gap:        float = setting(0.0005, "alarm: real and fake logits differ by less than this part of their size")
    watch_saturation: float = setting(0.9, "alarm: the part of generated pixels at the limits")
    watch_diversity:  float = setting(0.1, "alarm: images of a class differ by less than this part of real ones")
    watch_embedding:  float = setting(10.0, "alarm: the largest class embedding's norm over the median")
    rollback_images:  int = setting(0, "how far to go back on an alarm; 0 means ten looks, at most half")
    rollback_limit:   int = setting(1, "how often to go back before giving up")
    rollback_changes: tuple[str, ...] = setting((), "what to change then, such as g_lr=2e-5 lecam=0.3; or stop there")

    def __post_init__(self) -> None:
        coerce(self)
        at_least(self, 1, "images", "batch_size", "d_steps", "log_every", "checkpoint_every", "keep_checkpoints")
        at_least(self, 0, "microbatch_size", "ema_start", "preview_every", "seed")
        at_least(self, 0, "g_ortho", "d_ortho", "ema_half_life", "ema_ramp_up")
        require(0 <= self.ema_decay < 1, f"--ema-decay {self.ema_decay:g} must be at least 0 and below 1")
        self._check_init()
        self._check_objective()
        self._check_watch()
        if self.compile and (self.r1 or self.checkpoint_activations):
            other = "--r1 differentiates twice" if self.r1 else "--checkpoint-activations repeats passes"
            raise UserError(f"--compile cannot be combined with what it would not see through: {other}; leave one out")
        if self.ema_half_life and self.ema_start:
            raise UserError("--ema-half-life has its own beginning, --ema-ramp-up; leave --ema-start out")
        if self.shard and (self.r1 or self.compile):
            other = "--r1 needs second derivatives" if self.r1 else "--compile was not tried"
            raise UserError(f"{other} with --shard; leave one of them out")
        if self.microbatch_size and self.batch_size % self.microbatch_size:
            raise UserError(f"--microbatch-size {self.microbatch_size} does not divide --batch-size {self.batch_size}")

    def _check_init(self) -> None:
        at_least(self, 0, "freeze_d", "freeze_g")
        for name in ("init_classes", "freeze_d", "freeze_g"):
            require(bool(self.init) or not getattr(self, name), f"{flag(name)} is of use only with --init")
        for entry in self.init_classes:
            new, equals, old = entry.partition("=")
            require(bool(new and equals and old), f"--init-classes {entry} must be of the form new=old or new=old+old")

    def _check_objective(self) -> None:
        at_least(self, 0, "r1", "lecam", "lecam_start", "consistency_real", "consistency_fake", "top_k_images")
        at_least(self, 0, "g_clip", "d_clip")
        at_least(self, 1, "r1_every")
        betas(self, "lecam_decay")
        require(0 < self.top_k <= 1, f"--top-k {self.top_k:g} must be greater than 0 and at most 1")
        if self.top_k == 1 and self.top_k_images:
            raise UserError("--top-k-images says how fast --top-k is reached; give --top-k too")
        if (self.consistency_real or self.consistency_fake) and not self.consistency_augment:
            raise UserError("--consistency-augment is empty, so D(T(x)) would be D(x); name an augmentation")
        for name in ("augment", "consistency_augment"):
            names = getattr(self, name)
            require(len(set(names)) == len(names), f"{flag(name)} {join(names)} names one twice")
        if self.lecam and self.objective == "wasserstein":
            raise UserError("--lecam holds logits near their averages; --objective wasserstein has no such scale")
        if self.hinge_margin != 1:
            greater_than_zero(self, "hinge_margin")
            require(self.objective == "hinge", f"--hinge-margin is of no use to --objective {self.objective}")
        if self.label_smoothing:
            require(0 < self.label_smoothing < 1, f"--label-smoothing {self.label_smoothing:g} must be from 0 to 1")
            sigmoid = self.objective in ("non-saturating", "minimax")
            require(sigmoid, "--label-smoothing needs --objective non-saturating or minimax, whose targets are labels")

    def _check_watch(self) -> None:
        at_least(self, 0, "keep_span", "evaluate_num", "evaluate_every")
        if self.evaluate_every and not self.evaluates:
            raise UserError("--evaluate-every says how often; give --evaluate-num or --evaluate-protocol too")
        at_least(self, 0, "watch_every", "watch_gap", "watch_diversity", "rollback_images")
        at_least(self, 1, "keep_ring", "rollback_limit", "watch_growth", "watch_embedding")
        greater_than_zero(self, "watch_logits", "watch_saturation")
        for change in self.rollback_changes:
            name = change.partition("=")[0]
            require("=" in change, f"--rollback-changes {change} must be of the form field=value")
            require(name in CHANGEABLE_FIELDS, f"--rollback-changes: {unknown_name(name, CHANGEABLE_FIELDS, 'field')}")
        if self.rollback_changes and self.watch != "rollback":
            raise UserError("--rollback-changes are for --watch rollback; give it too")

    # ---- derived ---------------------------------------------------------------------------------

    @property
    def watch_images(self) -> int:
        """Images between two looks of the watchdog."""
        return self.watch_every or 100 * self.batch_size

    @property
    def span_images(self) -> int:
        """How far back kept checkpoints reach."""
        return self.keep_span or 20_000 * self.batch_size

    @property
    def evaluates(self) -> bool:
        """Whether the model is measured while it trains."""
        return bool(self.evaluate_num or self.evaluate_protocol)

    @property
    def evaluate_images(self) -> int:
        """Images between two evaluations; 0 for none."""
        return (self.evaluate_every or self.checkpoint_every) if self.evaluates else 0

    @property
    def lecam_images(self) -> int:
        """The clock at which LeCam begins."""
        return self.lecam_start or 1_000 * self.batch_size


# What may differ between the command that began a run and the one that continues it: none of these
# changes what the run computes up to a given clock, short of an alarm.
NEUTRAL_FIELDS = frozenset(
    {
        "images", "device", "shard", "checkpoint_activations", "track", "log_every",
        "preview_every", "checkpoint_every", "keep_checkpoints", "keep_span", "keep_ring",
        "evaluate_num", "evaluate_protocol", "evaluate_every", "best_metric",
        "watch", "watch_every", "watch_growth", "watch_logits", "watch_gap", "watch_saturation", "watch_diversity",
        "watch_embedding", "rollback_images", "rollback_limit", "rollback_changes",
    }
)  # fmt: skip
# What a run that went back may do differently.
CHANGEABLE_FIELDS = frozenset(
    {
        "g_lr", "d_lr", "g_beta1", "g_beta2", "d_beta1", "d_beta2", "adam_eps", "g_ortho", "d_ortho", "ortho",
        "r1", "r1_every", "lecam", "lecam_decay", "lecam_start", "consistency_real", "consistency_fake",
        "consistency_augment", "augment", "top_k", "top_k_images", "g_clip", "d_clip", "precision", "seed",
    }
)  # fmt: skip
