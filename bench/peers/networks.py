"""
The networks and their preconditioning (Karras et al. 2022, Table 1 and appendix F) under PyTorch's parameter names.

Plain PyTorch for unconditional networks without augmentation and dropout, which are the ones that are compared.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from layers import Block, Convolution, FourierEmbedding, PositionalEmbedding, group_norm


class SongUNet(nn.Module):
    """DDPM++ (positional embedding, standard encoder) and NCSN++ (Fourier embedding, residual encoder)."""

    def __init__(
        self,
        *,
        img_resolution,
        img_channels,
        model_channels,
        channel_mult,
        channel_mult_emb,
        channel_mult_noise,
        num_blocks,
        attn_resolutions,
        embedding_type,
        encoder_type,
        decoder_type,
        resample_filter,
    ):
        super().__init__()
        if encoder_type not in ("standard", "residual") or decoder_type != "standard":
            raise ValueError(f"encoder {encoder_type} with decoder {decoder_type} has no twin")
        taps = tuple(resample_filter)
        noise_channels = model_channels * channel_mult_noise
        width = model_channels * channel_mult_emb
        if embedding_type == "positional":
            self.map_noise = PositionalEmbedding(noise_channels, endpoint=True)
        else:
            self.map_noise = FourierEmbedding(noise_channels)
        self.map_layer0 = nn.Linear(noise_channels, width)
        self.map_layer1 = nn.Linear(width, width)

        def block(cin, cout, attention=False, resample=None):
            return Block(
                cin,
                cout,
                width,
                resample=resample,
                heads=1 if attention else 0,
                taps=taps,
                skip_scale=math.sqrt(0.5),
                epsilon=1e-6,
                adaptive_scale=False,
                project_on_resample=True,
            )

        self.enc = nn.ModuleDict()
        skips = []
        channels = model_channels
        image_channels = img_channels
        for level, mult in enumerate(channel_mult):
            size = img_resolution >> level
            if level == 0:
                self.enc[f"{size}x{size}_conv"] = Convolution(img_channels, channels, 3)
            else:
                self.enc[f"{size}x{size}_down"] = block(channels, channels, resample="down")
                if encoder_type == "residual":
                    self.enc[f"{size}x{size}_aux_residual"] = Convolution(
                        image_channels, channels, 3, "down", taps, fused=True
                    )
                    image_channels = channels
            skips.append(channels)
            for index in range(num_blocks):
                self.enc[f"{size}x{size}_block{index}"] = block(
                    channels, model_channels * mult, attention=size in attn_resolutions
                )
                channels = model_channels * mult
                skips.append(channels)

        self.dec = nn.ModuleDict()
        for level, mult in reversed(list(enumerate(channel_mult))):
            size = img_resolution >> level
            if level == len(channel_mult) - 1:
                self.dec[f"{size}x{size}_in0"] = block(channels, channels, attention=True)
                self.dec[f"{size}x{size}_in1"] = block(channels, channels)
            else:
                self.dec[f"{size}x{size}_up"] = block(channels, channels, resample="up")
            for index in range(num_blocks + 1):
                attention = index == num_blocks and size in attn_resolutions
                self.dec[f"{size}x{size}_block{index}"] = block(
                    channels + skips.pop(), model_channels * mult, attention=attention
                )
                channels = model_channels * mult
        self.dec[f"{img_resolution}x{img_resolution}_aux_norm"] = group_norm(channels, 1e-6)
        self.dec[f"{img_resolution}x{img_resolution}_aux_conv"] = Convolution(channels, img_channels, 3)

    def forward(self, x, noise_label):
        cosine, sine = self.map_noise(noise_label).chunk(2, dim=1)
        embedding = F.silu(self.map_layer0(torch.cat([sine, cosine], dim=1)))
        embedding = F.silu(self.map_layer1(embedding))
        image = x
        skips = []
        for name, layer in self.enc.items():
            if name.endswith("_aux_residual"):
                image = x = skips[-1] = (x + layer(image)) * math.sqrt(0.5)
            else:
                x = layer(x, embedding) if isinstance(layer, Block) else layer(x)
                skips.append(x)
        for name, layer in self.dec.items():
            if name.endswith("_aux_norm"):
                x = F.silu(layer(x))
            elif name.endswith("_aux_conv"):
                x = layer(x)
            else:
                x = layer(torch.cat([x, skips.pop()], dim=1) if "_block" in name else x, embedding)
        return x


class DhariwalUNet(nn.Module):
    """ADM: the noise level scales and shifts normalised activations, attention has a head for every 64 channels."""

    def __init__(
        self,
        *,
        img_resolution,
        img_channels,
        model_channels,
        channel_mult,
        channel_mult_emb,
        num_blocks,
        attn_resolutions,
    ):
        super().__init__()
        width = model_channels * channel_mult_emb
        self.map_noise = PositionalEmbedding(model_channels, endpoint=False)
        self.map_layer0 = nn.Linear(model_channels, width)
        self.map_layer1 = nn.Linear(width, width)

        def block(cin, cout, attention=False, resample=None):
            return Block(cin, cout, width, resample=resample, heads=cout // 64 if attention else 0)

        channels = model_channels * channel_mult[0]
        skips = [channels]
        self.enc = nn.ModuleDict()
        self.enc[f"{img_resolution}x{img_resolution}_conv"] = Convolution(img_channels, channels, 3)
        for level, mult in enumerate(channel_mult):
            size = img_resolution >> level
            if level > 0:
                self.enc[f"{size}x{size}_down"] = block(channels, channels, resample="down")
                skips.append(channels)
            for index in range(num_blocks):
                self.enc[f"{size}x{size}_block{index}"] = block(
                    channels, model_channels * mult, attention=size in attn_resolutions
                )
                channels = model_channels * mult
                skips.append(channels)

        self.dec = nn.ModuleDict()
        for level, mult in reversed(list(enumerate(channel_mult))):
            size = img_resolution >> level
            if level == len(channel_mult) - 1:
                self.dec[f"{size}x{size}_in0"] = block(channels, channels, attention=True)
                self.dec[f"{size}x{size}_in1"] = block(channels, channels)
            else:
                self.dec[f"{size}x{size}_up"] = block(channels, channels, resample="up")
            for index in range(num_blocks + 1):
                self.dec[f"{size}x{size}_block{index}"] = block(
                    channels + skips.pop(), model_channels * mult, attention=size in attn_resolutions
                )
                channels = model_channels * mult
        self.out_norm = group_norm(channels)
        self.out_conv = Convolution(channels, img_channels, 3)

    def forward(self, x, noise_label):
        embedding = F.silu(self.map_layer0(self.map_noise(noise_label)))
        embedding = F.silu(self.map_layer1(embedding))
        skips = []
        for layer in self.enc.values():
            x = layer(x, embedding) if isinstance(layer, Block) else layer(x)
            skips.append(x)
        for name, layer in self.dec.items():
            x = layer(torch.cat([x, skips.pop()], dim=1) if "_block" in name else x, embedding)
        return self.out_conv(F.silu(self.out_norm(x)))


class Denoiser(nn.Module):
    """D(x; sigma) with EDM's preconditioning."""

    def __init__(self, kwargs, sigma_data):
        super().__init__()
        self.sigma_data = sigma_data
        self.model = network(**kwargs)

    def forward(self, x, sigma):
        sigma = sigma.reshape(-1, 1, 1, 1)
        variance = sigma.square() + self.sigma_data**2
        c_skip = self.sigma_data**2 / variance
        c_out = sigma * self.sigma_data * variance.rsqrt()
        c_in = variance.rsqrt()
        c_noise = sigma.log().flatten() / 4
        return torch.addcmul(c_skip * x, c_out, self.model(c_in * x, c_noise))


def network(*, model_type, label_dim, augment_dim, dropout, label_dropout, **kwargs):
    """The network that the official code's arguments describe."""
    if label_dim or augment_dim or dropout:
        raise ValueError("the twin knows networks without labels, augmentation and dropout only")
    return {"SongUNet": SongUNet, "DhariwalUNet": DhariwalUNet}[model_type](**kwargs)
