import { expect, test } from 'vitest';
import { adm } from '../../src/networks/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { compileTrainStep } from '../../src/training/index.ts';
import type { RoundData } from '../../src/training/index.ts';
import { testValues } from '../support/random.ts';

// Ten steps on the same images, noise and levels: what is left is to fit them, so the loss falls for every sound gradient.
const runtime = nodeRuntime({ threads: 1 });
const [batch, references, size] = [4, 8, 3 * 8 * 8];

const values = (count: number, seed: number, bound: number): Float32Array =>
  Float32Array.from(testValues(count, [-bound, bound], seed));

test.each([
  ['dsm', 0],
  ['stf', 0],
  ['stf', 3],
] as const)('ADM trains with %s and %d classes', async (kind, labelDim) => {
  const network = {
    ...adm,
    resolution: 8,
    modelChannels: 16,
    channelMult: [1, 4],
    blocks: 1,
    attentionResolutions: [4],
    dropout: 0,
    labelDim,
  };
  const step = await compileTrainStep(
    runtime,
    {
      denoiser: { network, preconditioning: { kind: 'edm', sigmaData: 0.5 } },
      objective: kind === 'dsm' ? { kind } : { kind, references: { kind: 'fresh', count: references } },
      batch,
      rounds: 1,
      sampleDtype: 'float32',
    },
    { seed: 1 },
  );
  const reference = values(references * size, 1, 0.9);
  const referenceLabels = BigInt64Array.from({ length: references }, (_, i) => BigInt(i % 3));
  const labels = referenceLabels.slice(0, batch);
  const round: RoundData = {
    clean: reference.slice(0, batch * size),
    noise: values(batch * size, 2, 1.7),
    sigma: Float32Array.of(0.05, 0.3, 1, 5),
    ...(kind === 'stf' ? { reference } : {}),
    ...(labelDim > 0 ? { labels, sourceGroups: labels, referenceGroups: referenceLabels } : {}),
  };
  const losses: number[] = [];
  for (let number = 1; number <= 10; number++) {
    const { lossPerSample } = await step.run([round], { learningRate: 2e-3, emaBeta: 0.9, step: number });
    losses.push(lossPerSample.reduce((sum, loss) => sum + loss, 0) / batch);
  }
  await step.release();
  expect(losses.every(Number.isFinite), losses.join()).toBe(true);
  expect(losses[9]).toBeLessThan(0.8 * losses[0]);
});
