"""What a conf can say: typed dataclasses with the defaults of IDR as published.

Section and key names are IDR's wherever IDR has the thing, so that its confs (and the ancestor's) read as they are.
Every point in time is a **fraction of the run** (0 is its start, 1 its end): ``--steps`` and ``--minutes`` change
the length and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class DatasetConfig:
    """Which scene, and how it is read."""

    data_dir: str = "DTU"  # folder of scans below the data root, or a path
    scan_id: int = -1  # -1: data_dir is itself the scene folder
    img_res: list[int] | None = None  # [height, width]; smaller than the files: downsized; None: as they are
    cam_file: str | None = None  # another npz beside cameras.npz
    heldout_every: int = 8  # index % heldout_every == heldout_offset is held out; 0: none
    heldout_offset: int = 4
    train_views: int = 0  # > 0: train on so many of the others, spread as far as may be, and look at no more
    selection: bool = False  # hold out others in their place, to choose settings by; nothing looks at those then


@dataclass
class EncodingConfig:
    """One input encoding, by its name in the registry, with that encoding's own options."""

    name: str = "PosEnc"
    options: dict = field(default_factory=dict)


@dataclass
class ImplicitNetworkConfig:
    """The SDF network."""

    dims: list[int] = field(default_factory=lambda: [512] * 8)
    geometric_init: bool = True
    bias: float = 0.6  # radius of the initial sphere
    skip_in: list[int] = field(default_factory=lambda: [4])
    weight_norm: bool = True
    softplus_beta: float = 100.0
    encoding: EncodingConfig = field(default_factory=lambda: EncodingConfig("PosEnc", {"frequencies": 6}))
    clamp: bool = False  # the ancestor's Laplace-density clamp of the SDF, with an exact gradient
    clamp_beta: float = 0.9  # its initial (trainable) scale


@dataclass
class RenderingNetworkConfig:
    """The radiance network."""

    # idr | no_view_dir | no_normal | reflection: idr, and the reflected view direction, in which highlights stand still
    # | shading: albedo times (light of the normal and a residue)
    mode: str = "idr"
    reflection_from: float = 0.0  # reflection: unseen until so much of the levels' opening is over
    colour_margin: float = 0.0  # by which colours may exceed [-1, 1] on each side, or pure ones get stuck; not: shading
    dims: list[int] = field(default_factory=lambda: [512] * 4)
    weight_norm: bool = True
    view_encoding: EncodingConfig = field(default_factory=lambda: EncodingConfig("PosEnc", {"frequencies": 4}))
    position_encoding: EncodingConfig | None = None  # None: raw x, as IDR; else an encoding of its own


@dataclass
class RayTracerConfig:
    """Sphere tracing and the searches after it."""

    object_bounding_sphere: float = 1.0
    sdf_threshold: float = 5.0e-5
    line_search_step: float = 0.5
    line_step_iters: int = 3
    sphere_tracing_iters: int = 10
    two_sided: bool = True  # march from the far side too, which narrows what is sampled afterwards
    n_steps: int = 100  # samples of a ray that did not converge
    n_secant_steps: int = 8
    n_closest: int = 100  # samples of a ray whose smallest SDF the mask loss asks for
    minimum_cosine: float = 0.01  # of a ray with the normal; one that grazes the surface moves it as at this
    hull_margin: float = 0.0  # > 0: rays search the visual hull grown by this, instead of the bounding sphere


@dataclass
class BackgroundConfig:
    """What lies outside the bounding sphere; built for runs without masks alone."""

    samples: int = 16  # along a ray, even in inverse radius
    colour_margin: float = 0.0  # as rendering_network's
    dims: list[int] = field(default_factory=lambda: [32, 32])
    encoding: EncodingConfig = field(
        default_factory=lambda: EncodingConfig(
            "MultiResHash", {"levels": 8, "log2_table": 16, "base_resolution": 16, "finest_resolution": 512}
        )
    )
    view_encoding: EncodingConfig = field(default_factory=lambda: EncodingConfig("PosEnc", {"frequencies": 2}))


@dataclass
class ModelConfig:
    feature_vector_size: int = 256
    implicit_network: ImplicitNetworkConfig = field(default_factory=ImplicitNetworkConfig)
    rendering_network: RenderingNetworkConfig = field(default_factory=RenderingNetworkConfig)
    ray_tracer: RayTracerConfig = field(default_factory=RayTracerConfig)
    background: BackgroundConfig = field(default_factory=BackgroundConfig)


@dataclass
class LossConfig:
    """Weights and shapes of the loss terms."""

    rgb_loss: str = "l1"  # l1 | mape
    eikonal_weight: float = 0.1
    mask_weight: float = 100.0
    mask_final: float = 1.0  # what a cosine takes its weight to, as a multiple of what it starts from
    alpha: float = 50.0
    silhouette_weight: float = 0.0  # SDF of a point outside a silhouette is at least its distance to it
    smoothness_weight: float = 0.0  # SDF gradients of neighbours on the surface are alike
    smoothness_distance: float = 0.01  # how far the neighbours are
    smoothness_final: float = 0.1  # what a cosine takes its weight down to, as a part of what it starts from
    curvature_weight: float = 0.0  # mean absolute Laplacian of the SDF on the surface, by differences
    curvature_final: float = 0.1
    total_variation_weight: float = 0.0  # squared differences of neighbouring entries of the SDF's table
    total_variation_final: float = 0.1
    level_decay_weight: float = 0.0  # squared features of the SDF's table, finer levels more
    level_decay_final: float = 1.0
    numerical_eikonal: bool = False  # the eikonal term takes gradients by differences, not the analytic ones
    stencil_step: float = 0.0  # of differences, units of the normalised frame; 0: a cell of the finest open level
    fine_points: int = 256  # of the shaded points, how many these terms look at
    residue_weight: float = 0.0  # of mode shading: mean square of what light alone does not explain
    sparse_points_weight: float = 0.0  # the SDF is 0 at the scene's sparse points, where it has any


@dataclass
class VolumeConfig:
    """The volume renderer, and the stage of a run that trains with it."""

    density: str = "neus"  # neus | laplace
    samples: int = 10  # of a ray, in the band of its weight
    coarse_samples: int = 16  # of a ray, without gradient, to find the band
    sharpness: float = 20.0  # learned; what it starts from, per unit of the normalised frame
    sharpness_floor: float = 200.0  # added to it, from 0 at the stage's start to this at its (latest) end
    num_pixels: int = 512  # rays of a step
    mask_weight: float = 1.0  # of the cross-entropy between a ray's opacity and the mask
    rate: float = 1.0  # factor on the learning rates
    warm_up: float = 0.0  # fraction of the run over which the SDF's rates rise from 0, so that colours come first
    directions_from: float = 0.0  # before this fraction of the run colours do not depend on the direction of view
    carving: float = 0.0  # without masks: weight of what takes away where the background explains as much; 0: off
    margin: float = 0.0  # without masks nothing is nearer than this to the unit sphere, by the silhouette loss; 0: off
    earliest: float = 0.1  # a staged run goes on to the surface renderer no earlier,
    latest: float = 0.5  # and no later than these fractions of the run (one without masks: at the latter);
    agreement: float = 1.1  # between them when the surface's colour error is no more than this times the volume's
    plateau: float = 0.15  # and the volume's fell by less than this part over the last tenth of the run


@dataclass
class PhotometricConfig:
    """Patches compared across views about traced points (Geo-NeuS); lengths in pixels and units of the object."""

    weight: float = 0.0  # 0: nothing is compared
    start: float = 0.0  # from this fraction of the run on
    final: float = 1.0  # what a cosine takes its weight down to, as a part of what it starts from
    rays: int = 128  # of a step
    patch_size: int = 7  # samples along a patch's side
    patch_spacing: float = 1.0  # between them, in pixels of the reference picture
    coarse_levels: int = 0  # starts with pictures and patches halved so often, ...
    coarse_until: float = 0.5  # ... finer step by step until this fraction of the run
    colour: bool = False  # compare colours instead of grey
    sources: int = 6  # views that a view is compared with, at most
    best: int = 2  # of them that count at a point
    least_cosine: float = 0.2  # between a point's normal and the way to a source
    noise: float = 2.0  # standard deviation, of 255 grey levels, below which a patch is textureless
    clearance: float = 0.01  # above the surface, from where occlusion is traced; 0: not asked for


@dataclass
class PriorTermConfig:
    """One loss term on priors: its weight rises linearly at first, and falls exponentially all along."""

    weight: float = 0.0  # 0: no such term
    warm_up: float = 0.0  # fraction of the run over which it rises from 0
    decay: float = 0.0  # it falls by exp(-decay) from the run's start to its end
    gate: float = 0.0  # values with less confidence than this have no say


@dataclass
class PriorsConfig:
    """What is known of the views beyond their photographs; lengths in units of the normalised frame."""

    folder: str = "priors"  # of the bundles, relative to the scene
    neighbours: int = 0  # views that each view's priors are held against before training; 0: none
    within_view: bool = False  # hold each view's priors against each other and its photograph before training
    depth_tolerance: float = 0.02  # depths of two views that differ by less agree, and of two pixels are one surface
    normal_tolerance: float = 20.0  # degrees, likewise
    colour_tolerance: float = 0.1  # error of the logarithm of albedo times shading that halves their confidence
    few_views: int = 0  # with more training views, weights fall with the square of their number; 0: they do not
    huber: float = 0.02  # depth errors below this count squared
    angular: bool = False  # normals are compared by their angle, not by L1 and cosine
    rays: int = 128  # of a step, whose prior points are looked at for surface and free space, each
    reach: float = 0.05  # a prior point this far from the surface pulls half as much as its distance says
    clearance: float = 0.02  # the space before a prior point is free up to this far from it
    depth: PriorTermConfig = field(default_factory=PriorTermConfig)  # ray lengths, Huber
    depth_affine: PriorTermConfig = field(default_factory=PriorTermConfig)  # up to a scale and a shift of each view
    normal: PriorTermConfig = field(default_factory=PriorTermConfig)
    surface: PriorTermConfig = field(default_factory=PriorTermConfig)  # the SDF is 0 at the prior's points,
    free_space: PriorTermConfig = field(default_factory=PriorTermConfig)  # and not negative before them
    albedo: PriorTermConfig = field(default_factory=PriorTermConfig)  # ratios within a view; needs mode shading
    shading: PriorTermConfig = field(default_factory=PriorTermConfig)  # likewise, in any mode


@dataclass
class TrainConfig:
    """How long, how fast, and from where."""

    expname: str = "idr"
    steps: int = 98000
    renderer: str = "surface"  # surface | volume | staged: the volume renderer first, then the surface renderer
    use_masks: bool = True  # false: as if every mask were full, which it is where there are none
    minutes: float = 0.0  # > 0: stop after so long, schedules follow the clock
    num_pixels: int = 2048
    seed: int = 0
    pixels_anywhere: float = 1.0  # share of the pixels drawn over whole images; the others lie on and near the masks
    mask_tolerance: float = 0.0  # width outside a mask where no pixel is drawn, as a part of the longer side
    mixed_width: float = 0.0  # pixels inside an outline whose colours weigh little: they show the background, too
    init: str = "sphere"  # sphere | hull: where the field starts
    hull_resolution: int = 128  # grid points of the visual hull along each axis
    hull_fit_steps: int = 200  # of the short fit to the hull's distance
    hull_tolerance: float = 0.0  # share of the views seeing a place that may call it empty by mistake
    outline_noise: float = 0.0  # no farther beside their outlines than this, a part of the longer side; 0: anywhere
    camera_noise: float = 0.0  # how far rough cameras misplace what they see, units of the normalised frame
    weigh_views: bool = False  # compare the views, and use less of those whose masks or pictures are doubtful
    learning_rate: float = 1.0e-4
    learning_rate_tables: float = 1.0e-4  # of hash tables
    learning_rate_cam: float = 1.0e-4
    train_cameras: bool = False  # refine the poses too (centres and rotations)
    camera_parameters: str = "quaternion"  # quaternion, with the centre, as IDR | se3: motions, whitened
    train_focal_length: bool = False  # with the poses, one factor on all views' focal lengths
    cameras_from: float = 0.0  # trained cameras stay up to this fraction of the run: the surface comes first
    final_rate_cam: float = 1.0  # what a cosine takes the cameras' rate down to, a part of it; 1: it stays
    outline_alignment: int = 0  # steps that align trained cameras by their masks' outlines, before all else
    feature_alignment: int = 0  # rounds, after that, of matching features and adjusting trained cameras to them
    surface_alignment: list[float] = field(default_factory=list)  # when trained cameras are adjusted to it
    schedule: str = "milestones"  # milestones | cosine
    sched_milestones: list[float] = field(default_factory=lambda: [0.5, 0.75])
    sched_factor: float = 0.5
    final_rate: float = 0.05  # what a cosine schedule ends at, as a part of what it starts from
    alpha_milestones: list[float] = field(default_factory=lambda: [0.125, 0.25, 0.375, 0.5, 0.625])
    alpha_factor: float = 2.0
    levels_open: float = 0.0  # all encoding levels are open from this fraction on; 0: from the start
    levels_from: float = 0.0  # the first level alone is open up to this fraction
    table_updates: str = "all"  # all: Adam | touched: entries without a gradient in a step keep value and moments
    gradient_clip: float = 0.0  # 0: none
    plot_freq: float = 0.05  # of the run, between two sets of pictures; 0: none
    checkpoint_freq: float = 0.05  # of the run, between two numbered checkpoints; 0: the last only


@dataclass
class PlotConfig:
    resolution: int = 100  # of the meshes drawn while training
    max_depth: float = 0.0  # distance drawn darkest in depth pictures; 0: the far side of the bounding sphere


@dataclass
class Config:
    """A whole conf."""

    train: TrainConfig = field(default_factory=TrainConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    volume: VolumeConfig = field(default_factory=VolumeConfig)
    photometric: PhotometricConfig = field(default_factory=PhotometricConfig)
    priors: PriorsConfig = field(default_factory=PriorsConfig)
    plot: PlotConfig = field(default_factory=PlotConfig)
