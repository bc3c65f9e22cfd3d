import sys

import numpy as np
import pytest
import torch
from PIL import Image

from nsr.config.schema import EncodingConfig, ImplicitNetworkConfig, ModelConfig, RenderingNetworkConfig
from nsr.errors import NsrError
from nsr.evaluation.disentanglement import adapted_radiance, swap, swap_problem, swapped_renderer
from nsr.evaluation.frames import render_frames, write_film
from nsr.fields.encoding import make_encoding
from nsr.fields.initialisation import initialise_sphere
from nsr.rendering.image import EDGE_RAYS, render_view
from nsr.rendering.model import build_renderer

HASH = EncodingConfig("MultiResHash", dict(levels=2, features=2, log2_table=8, base_resolution=4, finest_resolution=8))
VIEWS = EncodingConfig("PosEnc", {"frequencies": 2})


def make(radius, seed, features=4, position_encoding=None, mode="idr"):
    torch.manual_seed(seed)
    config = ModelConfig(
        feature_vector_size=features,
        implicit_network=ImplicitNetworkConfig(dims=[64, 64], skip_in=[], encoding=VIEWS),
        rendering_network=RenderingNetworkConfig(
            mode=mode, dims=[32], view_encoding=VIEWS, position_encoding=position_encoding
        ),
    )
    renderer = build_renderer(config)
    initialise_sphere(renderer.sdf, radius)
    return renderer


def test_shape_of_the_one_and_colours_of_the_other(sphere_scene):
    big, small = make(0.7, 1), make(0.4, 2)
    swapped = swap(big, small)
    view = (sphere_scene.cameras, 0, 24, 32)
    shown, shape = render_view(swapped, *view), render_view(big, *view)
    assert (shown.hit == shape.hit).all() and (shown.normal == shape.normal).all()
    rows, columns = shown.hit.nonzero(as_tuple=True)
    pixels = torch.stack([columns, rows], dim=1).float()
    origins, directions = sphere_scene.cameras.rays(torch.zeros(len(pixels), dtype=torch.long), pixels)
    points = origins + shape.depth[rows, columns].unsqueeze(1) * directions
    with torch.no_grad():
        _, gradient, feature = big.sdf.geometry(points)
        colours = (small.radiance(points, directions, gradient, feature) + 1) / 2
    torch.testing.assert_close(shown.rgb[rows, columns], colours, atol=1e-5, rtol=0)


def test_what_is_refused_and_why():
    plain = make(0.6, 1)
    with pytest.raises(NsrError, match="encoding of its own"):
        swap(plain, make(0.6, 2, position_encoding=HASH))
    with pytest.raises(NsrError, match="gives 4 features and the appearance's radiance field takes 7"):
        swap(plain, make(0.6, 2, features=7))
    assert swap_problem(plain, make(0.6, 2, features=0)) is None  # it asks for none
    assert swap_problem(make(0.6, 2, position_encoding=HASH), plain) is None  # only the appearance's encoding matters


def test_an_adapted_field_shows_the_teacher_on_its_own_surface_and_goes_anywhere():
    teacher = make(0.5, 3, features=7, position_encoding=HASH)
    with torch.no_grad():  # colours that the student can say
        for parameter in teacher.radiance.lin1.parameters():
            parameter.mul_(3)
    network = RenderingNetworkConfig(mode="idr", dims=[64, 64], view_encoding=VIEWS)
    state = torch.get_rng_state()
    field, error = adapted_radiance(teacher, network, make_encoding(VIEWS), steps=150)
    assert (torch.get_rng_state() == state).all()
    assert error < 0.03
    again, _ = adapted_radiance(teacher, network, make_encoding(VIEWS), steps=150)
    assert all((a == b).all() for a, b in zip(field.parameters(), again.parameters(), strict=True))
    other = make(0.7, 4)
    swapped = swapped_renderer(other, field)
    x = torch.nn.functional.normalize(torch.randn(50, 3), dim=1)
    assert swapped.shade(0.7 * x, -x).shape == (50, 3)  # features of another width are no obstacle
    with torch.no_grad():
        near = (teacher.shade(0.5 * x, -x) - field(0.5 * x, -x, *teacher.sdf.geometry(0.5 * x)[1:])).abs().mean() / 2
    assert near < 0.05
    with pytest.raises(NsrError, match="at least one step"):
        adapted_radiance(teacher, network, make_encoding(VIEWS), steps=0)


def test_a_teacher_without_a_surface():
    empty = make(0.5, 1)
    with torch.no_grad():
        empty.sdf.lin2.bias[0] += 5
    network = RenderingNetworkConfig(dims=[8], view_encoding=VIEWS)
    with pytest.raises(NsrError, match="no surface"):
        adapted_radiance(empty, network, make_encoding(VIEWS), steps=1)


def test_frames_with_alpha_and_the_film(sphere_scene, tmp_path, monkeypatch):
    renderer = make(0.6, 5)
    path = sphere_scene.cameras.select([0, 1, 2])
    frames = render_frames(renderer, path, (47, 63), tmp_path / "frames", alpha=True, progress=False)
    assert [frame.name for frame in frames] == ["eval_000.png", "eval_001.png", "eval_002.png"]
    picture = np.array(Image.open(frames[1]))
    view = render_view(renderer, path, 1, 47, 63, edge_rays=EDGE_RAYS)
    opaque, clear = (view.coverage == 1).numpy(), (view.coverage == 0).numpy()
    assert picture.shape == (47, 63, 4) and opaque.any() and not (opaque | clear).all()
    assert ((picture[..., 3] == 255) == opaque).all() and ((picture[..., 3] == 0) == clear).all()
    assert np.abs(picture[..., :3] - 255 * view.surface_rgb.numpy()).max() < 1 and (picture[clear][:, :3] == 255).all()

    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "imageio_ffmpeg", None)
        with pytest.raises(NsrError, match="pip install"):
            write_film(frames, tmp_path / "a.mp4")
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    write_film(frames, tmp_path / "a.mp4", frames_per_second=3)
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "a.mp4"))
    facts = next(reader)
    assert facts["size"] == (64, 48) and facts["fps"] == 3
    read = [np.frombuffer(frame, np.uint8).reshape(48, 64, 3).astype(int) for frame in reader]
    assert len(read) == 3
    share = picture[..., 3:] / 255
    white = picture[..., :3] * share + 255 * (1 - share)
    assert np.abs(read[1][:47, :63] - white).mean() < 6  # of 255: what the codec loses
    assert not list(tmp_path.glob(".*"))
