"""EDM's deterministic sampler. Karras et al. 2022, Algorithm 1 without churn."""

import torch


def noise_levels(steps, sigma_min, sigma_max, rho):
    """From sigma_max down to sigma_min, then 0. Karras et al. 2022, Eq. 5."""
    ramp = torch.arange(steps, dtype=torch.float64) / (steps - 1)
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return ((high + ramp * (low - high)) ** rho).tolist() + [0.0]


@torch.inference_mode()
def heun(denoiser, latents, *, steps, sigma_min, sigma_max, rho):
    """Samples [N, ...] from unit normal latents [N, ...]; float64 outside the network, as in the official sampler."""

    def slope(x, sigma):
        denoised = denoiser(x.to(torch.float32), torch.full((len(x),), sigma, device=x.device)).to(torch.float64)
        return (x - denoised) / sigma

    levels = noise_levels(steps, sigma_min, sigma_max, rho)
    x = latents.to(torch.float64) * levels[0]
    for sigma, following in zip(levels, levels[1:]):
        d = slope(x, sigma)
        euler = x + (following - sigma) * d
        x = euler if following == 0 else x + (following - sigma) * (d + slope(euler, following)) / 2
    return x.to(torch.float32)
