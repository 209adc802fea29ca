"""Layers of the U-Nets of Song et al. 2021 and Dhariwal and Nichol 2021, as Karras et al. 2022 (appendix F) use them."""

import math

import torch
from torch import nn
from torch.nn import functional as F


class Resample(nn.Module):
    """Doubles ("up") or halves ("down") height and width with a separable filter."""

    def __init__(self, direction, taps, padding=None):
        super().__init__()
        self.is_up = direction == "up"
        self.is_box = tuple(taps) == (1, 1)
        self.padding = (len(taps) - 1) // 2 if padding is None else padding
        row = torch.tensor(taps, dtype=torch.float32)
        kernel = torch.outer(row, row) / row.sum() ** 2
        # A doubled image has four times as many pixels, which share the weight of one.
        self.register_buffer("kernel", (kernel * 4 if self.is_up else kernel)[None, None], persistent=False)

    def forward(self, x):
        if self.is_box:
            return F.interpolate(x, scale_factor=2, mode="nearest") if self.is_up else F.avg_pool2d(x, 2)
        channels = x.shape[1]
        kernel = self.kernel.expand(channels, -1, -1, -1)
        resample = F.conv_transpose2d if self.is_up else F.conv2d
        return resample(x, kernel, stride=2, padding=self.padding, groups=channels)


class Convolution(nn.Conv2d):
    """Convolution that keeps the size, before it a change of resolution; the fused one filters behind it."""

    def __init__(self, in_channels, out_channels, kernel, resample=None, taps=(1, 1), fused=False):
        extra = (len(taps) - 1) // 2 if fused else 0
        super().__init__(in_channels, out_channels, kernel, padding=kernel // 2 + extra)
        self.before = Resample(resample, taps) if resample and not fused else None
        self.behind = Resample(resample, taps, padding=0) if resample and fused else None

    def forward(self, x):
        if self.before is not None:
            x = self.before(x)
        x = super().forward(x)
        return x if self.behind is None else self.behind(x)


def group_norm(channels, epsilon=1e-5):
    return nn.GroupNorm(min(32, channels // 4), channels, eps=epsilon)


class Block(nn.Module):
    """The residual block, with attention over pixels where `heads` is above 0."""

    def __init__(
        self,
        in_channels,
        out_channels,
        embedding_channels,
        *,
        resample=None,
        heads=0,
        taps=(1, 1),
        skip_scale=1.0,
        epsilon=1e-5,
        adaptive_scale=True,
        project_on_resample=False,
    ):
        super().__init__()
        self.heads = heads
        self.skip_scale = skip_scale
        self.adaptive_scale = adaptive_scale
        self.norm0 = group_norm(in_channels, epsilon)
        self.conv0 = Convolution(in_channels, out_channels, 3, resample, taps)
        self.affine = nn.Linear(embedding_channels, out_channels * (2 if adaptive_scale else 1))
        self.norm1 = group_norm(out_channels, epsilon)
        self.conv1 = Convolution(out_channels, out_channels, 3)
        self.skip = None
        if in_channels != out_channels or (resample and project_on_resample):
            self.skip = Convolution(in_channels, out_channels, 1, resample, taps)
        elif resample:
            self.skip = Resample(resample, taps)
        if heads > 0:
            self.norm2 = group_norm(out_channels, epsilon)
            self.qkv = Convolution(out_channels, out_channels * 3, 1)
            self.proj = Convolution(out_channels, out_channels, 1)

    def forward(self, x, embedding):
        h = self.conv0(F.silu(self.norm0(x)))
        parameters = self.affine(embedding)[:, :, None, None]
        if self.adaptive_scale:
            scale, shift = parameters.chunk(2, dim=1)
            h = F.silu(torch.addcmul(shift, self.norm1(h), scale + 1))
        else:
            h = F.silu(self.norm1(h.add_(parameters)))
        x = self.join(self.conv1(h), x if self.skip is None else self.skip(x))
        return self.join(self.attend(x), x) if self.heads > 0 else x

    def join(self, branch, shortcut):
        joined = branch.add_(shortcut)
        return joined if self.skip_scale == 1 else joined.mul_(self.skip_scale)

    def attend(self, x):
        images, channels, height, width = x.shape
        per_head = channels // self.heads
        qkv = self.qkv(self.norm2(x)).reshape(images * self.heads, per_head, 3, height * width)
        q, k, v = qkv.unbind(2)
        weights = torch.bmm((q * (1 / math.sqrt(per_head))).transpose(1, 2), k).softmax(dim=2)
        return self.proj(torch.bmm(v, weights.transpose(1, 2)).reshape(x.shape))


def waves(x, frequencies):
    """[cos(x f), sin(x f)] for x [N] and frequencies [K]: [N, 2 K]."""
    angles = torch.outer(x, frequencies)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class PositionalEmbedding(nn.Module):
    """Frequencies from 1 down to 1 / 10000, the last one exactly that where `endpoint` is set."""

    def __init__(self, channels, endpoint):
        super().__init__()
        half = channels // 2
        exponents = torch.arange(half, dtype=torch.float32) / (half - (1 if endpoint else 0))
        self.register_buffer("frequencies", (1 / 10000) ** exponents, persistent=False)

    def forward(self, x):
        return waves(x, self.frequencies)


class FourierEmbedding(nn.Module):
    """Fixed random frequencies, which belong to the checkpoint."""

    def __init__(self, channels):
        super().__init__()
        self.register_buffer("freqs", torch.randn(channels // 2) * 16)

    def forward(self, x):
        return waves(x, 2 * math.pi * self.freqs)
