import { expect, test } from 'vitest';
import { inTypedNames, resolveSampler } from '../../src/cli/sampler-flags.ts';
import type { SamplerWish } from '../../src/cli/sampler-flags.ts';
import { newRunOptions } from '../../src/cli/train-options.ts';
import { UsageError } from '../../src/errors.ts';

const vp = newRunOptions('toy-2d', new Map([['precond', 'vp']]));
const subVp = newRunOptions('toy-2d', new Map([['precond', 'sub-vp']]));

test.each<[typeof vp, SamplerWish, string]>([
  [
    vp,
    { name: 'predictor-corrector', choices: { steps: 3 } },
    '--steps must be an integer of at least 20 for a noise rate of up to 20, got 3.',
  ],
  [
    vp,
    { name: 'rk45', choices: { sigmaMin: 0.1 } },
    '--sigma-min and --sigma-max are for the process ve; those of vp follow from its schedule.',
  ],
  [
    subVp,
    { name: 'predictor-corrector', choices: { predictor: 'ancestral' } },
    '--predictor: "ancestral" is for the processes ve and vp. Choose reverse-diffusion.',
  ],
])('what a sampler refuses names options as they are typed', async (options, wish, message) => {
  const refused = resolveSampler(wish, options);
  await expect(refused).rejects.toThrow(UsageError);
  await expect(refused).rejects.toHaveProperty('message', message);
});

test('names that are words stay words elsewhere, and other errors stay as they are', async () => {
  const saying = (error: Error) => inTypedNames(() => Promise.reject(error));
  await expect(saying(new UsageError('rho must be above 0; fewer steps would denoise less.'))).rejects.toThrow(
    '--rho must be above 0; fewer steps would denoise less.',
  );
  const bug = new TypeError('steps must be a number');
  await expect(saying(bug)).rejects.toBe(bug);
});
