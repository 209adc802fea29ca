"""
The PyTorch twin of a benchmark: a process that reads one JSON request a line from its standard input and answers each
with one JSON line. It waits on the pipe between requests and uses no processor then.
"""

import json
import platform
import sys
import time
import traceback

import torch

from networks import Denoiser
from sampling import heun
from tensors import read_tensors, write_tensors
from training import Training


class Twin:
    def __init__(self):
        self.format = torch.contiguous_format
        self.device = torch.device("cpu")
        self.denoiser = None
        self.training = None

    def load(self, *, network, sigmaData, weights, threads, layout, device):
        """
        Builds the denoiser, with weights from a safetensors file that has its state dict, on a device: `cpu`, or `cuda`
        or another one that this PyTorch has.
        """
        torch.set_num_threads(threads)
        self.device = torch.device(device)
        self.allowTf32(allowed=False)
        torch.set_flush_denormal(True)
        self.format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        self.denoiser = Denoiser(network, sigmaData)
        self.denoiser.load_state_dict(read_tensors(weights))
        self.denoiser.to(device=self.device, memory_format=self.format)
        return {
            "engine": f"PyTorch {torch.__version__}",
            "python": platform.python_version(),
            "threads": torch.get_num_threads(),
            "oneDnn": torch.backends.mkldnn.is_available(),
            "parameters": sum(parameter.numel() for parameter in self.denoiser.parameters()),
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type,
        }

    def allowTf32(self, *, allowed):
        """Whether CUDA may round the operands of products and convolutions to 11 bits; by itself it does for convolutions."""
        torch.backends.cuda.matmul.allow_tf32 = allowed
        torch.backends.cudnn.allow_tf32 = allowed
        return {}

    def arranged(self, tensor):
        there = tensor.to(self.device)
        return there.contiguous(memory_format=self.format) if there.dim() == 4 else there

    def now(self):
        """Milliseconds, when all that was asked of the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() * 1000

    def prepareTraining(self, *, data, learningRate, beta1, beta2, epsilon, emaBeta):
        batch = {name: self.arranged(tensor) for name, tensor in read_tensors(data).items()}
        adam = {"lr": learningRate, "betas": (beta1, beta2), "eps": epsilon}
        self.training = Training(self.denoiser, batch, adam, emaBeta)
        return {}

    def checkedStep(self):
        """One step, with what is compared: the mean loss of an element, and the norm of the gradient."""
        elements = self.training.step()
        return {"loss": elements.double().mean().item(), "gradientNorm": self.training.gradient_norm()}

    def step(self):
        start = self.now()
        self.training.step()
        return {"ms": self.now() - start}

    def writeAverage(self, *, path):
        write_tensors(path, self.training.average.state_dict())
        return {}

    def sample(self, *, latents, steps, sigmaMin, sigmaMax, rho, samples=None):
        """Draws samples; from the file of latents to the last operation counts, reading and writing files does not."""
        start_points = self.arranged(read_tensors(latents)["latents"])
        start = self.now()
        drawn = heun(
            self.denoiser, start_points, steps=steps, sigma_min=sigmaMin, sigma_max=sigmaMax, rho=rho
        )
        ms = self.now() - start
        if samples:
            write_tensors(samples, {"samples": drawn})
        return {"ms": ms}

    def memory(self):
        """Largest resident memory of this process so far, null where the system does not tell."""
        return {"peakMemoryMb": peak_memory_mb()}


def peak_memory_mb():
    try:
        # getrusage would count what the parent had when it started this process.
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) / 2**10 for line in file if line.startswith("VmHWM:"))
    except FileNotFoundError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main():
    twin = Twin()
    for line in sys.stdin:
        request = json.loads(line)
        action = request.pop("do")
        try:
            answer = getattr(twin, action)(**request)
        except Exception:  # the benchmark reports it
            answer = {"error": traceback.format_exc(limit=-3)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
