"""One training step in plain PyTorch: noise, target, loss, gradients, Adam, moving average."""

import copy

import torch


def make_adam(parameters, options):
    """Adam in the form that this PyTorch does in the fewest passes."""
    parameters = list(parameters)
    for form in ({"fused": True}, {"foreach": True}, {}):
        try:
            return torch.optim.Adam(parameters, **options, **form)
        except (TypeError, RuntimeError):  # older than the form, or a form for other devices only
            continue
    raise RuntimeError("torch.optim.Adam can't be made")


def stable_target(x, sigma, reference):
    """
    Posterior mean over the reference batch [n, ...] of the clean images that noisy x [B, ...] came from (Xu et al.
    2023): soft-max over -|x - y|^2 / (2 sigma^2), in which |x|^2 is common to all references.
    """
    flat, candidates = x.flatten(1), reference.flatten(1)
    half_squares = candidates.square().sum(dim=1) / 2
    logits = torch.addmm(half_squares, flat, candidates.T, beta=-1) / sigma.square()[:, None]
    return (logits.softmax(dim=1) @ candidates).reshape(x.shape)


class Training:
    """
    A denoiser in training on one fixed batch: images [B, C, H, W] as bytes, unit normal noise of the same shape, noise
    levels [B], and for the stable target a reference batch [n, C, H, W] as bytes.
    """

    def __init__(self, denoiser, batch, adam, ema_beta):
        self.denoiser = denoiser
        self.average = copy.deepcopy(denoiser).requires_grad_(False)
        self.batch = batch
        self.ema_beta = ema_beta
        self.optimizer = make_adam(denoiser.parameters(), adam)

    def images(self, name):
        return self.batch[name].to(torch.float32) / 127.5 - 1

    def step(self):
        """Takes one step and returns the loss of every element [B, C, H, W]."""
        clean, sigma = self.images("clean"), self.batch["sigma"]
        level = sigma[:, None, None, None]
        x = torch.addcmul(clean, level, self.batch["noise"])
        target = clean
        if "reference" in self.batch:
            with torch.no_grad():
                target = stable_target(x, sigma, self.images("reference"))
        sigma_data = self.denoiser.sigma_data
        weight = (level.square() + sigma_data**2) / (level * sigma_data).square()
        self.optimizer.zero_grad(set_to_none=True)
        elements = weight * (self.denoiser(x, sigma) - target).square()
        (elements.sum() / len(clean)).backward()
        self.optimizer.step()
        with torch.no_grad():
            for average, parameter in zip(self.average.parameters(), self.denoiser.parameters()):
                average.lerp_(parameter, 1 - self.ema_beta)
        return elements.detach()

    def gradient_norm(self):
        """Euclidean norm of the gradient of the last step."""
        gradients = [parameter.grad for parameter in self.denoiser.parameters()]
        return torch.stack([gradient.double().square().sum() for gradient in gradients]).sum().sqrt().item()
