"""Style modulation: the position decides, frequencies stay, and without a style it is the bank itself."""

import logging

import pytest
import torch

from nsr.config.schema import EncodingConfig
from nsr.errors import ConfigError
from nsr.fields.encoding import make_encoding
from nsr.ops import backend
from nsr.ops.dual import Dual

SMALL = dict(
    levels=3, features=2, log2_table=9, base_resolution=3, finest_resolution=9, amplitude=0.2, width=6, outputs=4,
    base_sigma=0.7, w0=3.0, w1=4.0,
)


def modulated(**options):
    torch.manual_seed(0)
    return make_encoding(EncodingConfig("FFB_StyleMod", SMALL | options))


def parts(encoding, grid, content):
    """Phases and attention for given grid features ``[L, N, F]`` and content ``[N, W]``."""
    grid, content = Dual(grid, None), Dual(content.unsqueeze(0), None)
    phases = encoding._styled_bands(grid, content)
    bands = phases.scaled(6.283185307).sine()
    return phases.value, encoding._attention(bands, content).value


def test_with_equal_styles_and_equal_attention_it_is_the_filter_bank():
    encoding = modulated()
    with torch.no_grad():
        for parameter in (encoding.style, encoding.style_bias, encoding.query.weight):
            parameter.zero_()
    plain = make_encoding(EncodingConfig("FFB", SMALL))
    plain.load_state_dict(encoding.state_dict(), strict=False)
    x = torch.rand(20, 3) * 1.6 - 0.8
    torch.testing.assert_close(encoding(x), plain(x), rtol=1e-4, atol=1e-5)


def test_the_same_features_mean_something_else_elsewhere():
    encoding = modulated()
    grid = torch.rand(3, 1, 2).expand(3, 8, 2)
    content = torch.rand(8, 6) * 2 - 1
    phases, attention = parts(encoding, grid, content)
    assert phases.std(dim=1).median() > 0.01
    assert attention.std(dim=1).min() > 1e-3


def test_attention_is_a_share_of_each_level():
    _, attention = parts(modulated(), torch.rand(3, 8, 2), torch.rand(8, 6) * 2 - 1)
    assert attention.shape == (3, 8, 1)
    torch.testing.assert_close(attention.sum(0), torch.ones(8, 1))
    assert (attention > 0).all()


def test_demodulation_keeps_each_bands_frequency():
    """The phase is linear in the features with a slope of the band's own norm, whatever the style."""
    encoding = modulated()
    content = torch.rand(8, 6) * 2 - 1
    columns = [parts(encoding, axis.expand(3, 8, 2), content)[0] for axis in torch.eye(2)]
    norms = torch.stack(columns).norm(dim=0)  # [L, N, W]
    own = encoding.bands.detach().norm(dim=1, keepdim=True)
    torch.testing.assert_close(norms, own.expand_as(norms), rtol=1e-4, atol=1e-5)
    directions = torch.stack(columns) / norms
    assert directions.std(dim=2).max() > 0.05  # it is the direction that the style turns


def test_it_says_once_that_its_bands_are_not_compiled(monkeypatch, caplog):
    monkeypatch.setattr(backend, "_said", set())
    monkeypatch.delenv("NSR_BACKEND", raising=False)
    encoding = modulated()
    with caplog.at_level(logging.WARNING, logger="nsr"):
        encoding(torch.zeros(1, 3))
        encoding(torch.zeros(1, 3))
    assert [record.message for record in caplog.records if "style modulation is not compiled" in record.message] == [
        "style modulation is not compiled: the bands of FFB_StyleMod run as plain PyTorch"
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": 1}, "needs features = 2 or more"),
        ({"bands": "posenc"}, "needs bands = learned"),
        ({"attention": 0}, "attention must be at least 1"),
    ],
)
def test_what_would_have_no_effect_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        modulated(**options)
