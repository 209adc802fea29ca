import { describe, expect, test } from 'vitest';
import { adm, ddpmpp, ncsnpp } from '../../src/networks/index.ts';
import type { TrainingOptions } from '../../src/training/index.ts';
import { stf } from './support.ts';

/*
 * The presets for CIFAR-10 as `stf train --dry-run` shows them. The oracle for their sizes is the DDPM++ that Karras et
 * al. 2022 published, 55 733 891 parameters, and what sets the others apart from it, layer by layer.
 */
const published = 55_733_891;
const parametersOf = { ddpmpp: published, ncsnpp: 0 };
// A noise embedding of twice the width, which nine numbers of augmentation enter as well, and a 3 × 3 convolution of the
// image at each of the two lower levels.
parametersOf.ncsnpp = published + 128 * (9 + 512) + (3 * 9 + 1) * 256 + (256 * 9 + 1) * 256;
/** A layer from ten classes to the noise embedding. */
const conditional = { ddpmpp: (10 + 1) * 128, ncsnpp: (10 + 1) * 256 };

const formulations = {
  edm: { preconditioning: { kind: 'edm', sigmaData: 0.5 }, samples: { sigmaMin: 0.002, sigmaMax: 80 } },
  vp: {
    preconditioning: { kind: 'vp', betaD: 19.9, betaMin: 0.1, epsilonT: 1e-5, steps: 1000 },
    samples: { sigmaMin: 0.002, sigmaMax: 80 },
  },
  // Its networks know no lower noise level.
  ve: { preconditioning: { kind: 've', sigmaMin: 0.02, sigmaMax: 100 }, samples: { sigmaMin: 0.02, sigmaMax: 80 } },
} as const;

/** What Karras et al. 2022 train every network on CIFAR-10 with. */
const recipe = {
  data: { kind: 'cifar10', maxImages: null },
  // Six transforms, of which flips to the side are drawn always. train.py of the official code.
  augmentation: {
    probability: 0.12,
    multipliers: { xFlip: 1e8, yFlip: 1, scale: 1, rotateFrac: 1, aniso: 1, translateFrac: 1 },
  },
  xFlip: false,
  batch: 512,
  learningRate: 1e-3,
  learningRateRampKimg: 10_000,
  adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  ema: { halfLifeKimg: 500, rampUpRatio: 0.05 },
  durationKimg: 200_000,
};

async function dryRun(...flags: string[]): Promise<{ options: TrainingOptions; parameters: number }> {
  const { code, stdout, stderr } = await stf(['train', ...flags, '--dry-run']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const [, parameters] = /^Parameters: +([\d,]+)$/m.exec(stdout)!;
  return {
    options: JSON.parse(stdout.slice(0, stdout.indexOf('\n}\n') + 3)) as TrainingOptions,
    parameters: Number(parameters.replaceAll(',', '')),
  };
}

test('the sizes are the published ones', () => {
  expect(parametersOf).toEqual({ ddpmpp: 55_733_891, ncsnpp: 56_397_827 });
});

test('ADM: the published network of ImageNet without its classes, at half the resolution', async () => {
  const { options, parameters } = await dryRun('--preset', 'cifar10-edm-adm');
  expect(options).toMatchObject({
    ...recipe,
    denoiser: { network: { ...adm, resolution: 32, labelDim: 0, augmentDim: 9 } },
  });
  // The count differs by attention alone, at 32, 16 and 8: of the lowest level there, of the highest here.
  const attention = (width: number): number => 2 * width + 4 * width ** 2 + 4 * width;
  const published = 295_899_267 - 1000 * 768;
  // Three blocks of the encoder and four of the decoder.
  expect(parameters).toBe(published + 9 * 192 + 7 * (attention(192) - attention(768)));
});

describe.each(['ddpmpp', 'ncsnpp'] as const)('%s', (arch) => {
  describe.each(['edm', 'vp', 've'] as const)('%s', (formulation) => {
    const preset = `cifar10-${formulation}-${arch}`;

    test('unconditional: size, network, formulation and recipe', async () => {
      const { options, parameters } = await dryRun('--preset', preset);
      expect(parameters).toBe(parametersOf[arch]);
      expect(options.denoiser.network).toEqual({ ...{ ddpmpp, ncsnpp }[arch], augmentDim: 9 });
      const { preconditioning, samples } = formulations[formulation];
      expect(options).toMatchObject({ ...recipe, denoiser: { preconditioning }, samples });
    });

    test('class-conditional: ten classes, and the rest the same', async () => {
      const { options, parameters } = await dryRun('--preset', preset, '--cond');
      expect(parameters).toBe(parametersOf[arch] + conditional[arch]);
      expect(options.denoiser.network).toEqual({ ...{ ddpmpp, ncsnpp }[arch], augmentDim: 9, labelDim: 10 });
    });
  });
});
