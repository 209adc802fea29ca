import { describe, expect, test, vi } from 'vitest';
import { memoryDataset } from '../../src/data/dataset.ts';
import { readStatistics } from '../../src/node/run-reader.ts';
import { stf, temporaryFolder } from './support.ts';

/*
 * Ten steps of `stf train` for every network, preconditioning and objective. All of it is the real program but the images:
 * CIFAR-10 is 150 MB that a test can't fetch, so that sixty-four images of stripes stand in for it.
 *
 * The loss is known before training, whatever the noise levels: a new network gives 0, and the target of the network has
 * unit variance by the design of each preconditioning (noise for VP and VE; for EDM with data of standard deviation 0.5,
 * which the stripes have). Over a batch of 8 images of 3072 numbers its sample variance is within some 0.02 of 1; that
 * stable targets vary less shows only above the noise levels at which references mix. So a loss that is 1 at first and
 * well below at last has fallen because of the training, and the control, a learning rate of almost 0, shows it.
 */
vi.mock('../../src/node/cifar10.ts', async (original) => ({
  ...(await original<object>()),
  loadCifar10: () => Promise.resolve(stripes()),
}));

/** Grey stripes, ±0.5, in a direction for each class. */
function stripes() {
  const [length, side, classes] = [64, 32, 10];
  const data = new Uint8Array(length * 3 * side * side);
  const labels = Uint8Array.from({ length }, (_, image) => image % classes);
  for (let image = 0; image < length; image++) {
    const [dx, dy] = [1 + (labels[image] % 3), Math.floor(labels[image] / 3)];
    for (let at = 0; at < 3 * side * side; at++) {
      const [x, y] = [at % side, Math.floor(at / side) % side];
      data[image * 3 * side * side + at] = Math.floor((dx * x + dy * y + image) / 8) % 2 === 0 ? 191 : 64;
    }
  }
  return memoryDataset({ name: 'stripes', data, sampleShape: [3, side, side], labelled: { labels, classes } });
}

const archs = ['ddpmpp', 'ncsnpp', 'adm'];
const preconditionings = ['edm', 'vp', 've'];
const objectives = ['dsm', 'stf'];
const batch = 8;
const steps = 10;
const folder = temporaryFolder();

const tiny = [
  ...['train', '--data', 'cifar10', '--cbase', '8', '--cres', '1,2', '--blocks', '1', '--attn', 'none'],
  ...['--dropout', '0', '--batch', `${batch}`, '--rounds', '1', '--lr', '1e-2', '--lr-ramp', '0'],
  ...['--duration', `${(batch * steps) / 1e6}`, '--tick', `${batch / 1000}`, '--snap', 'end', '--sample-ticks', 'end'],
  ...['--samples', '1', '--steps', '2'],
];
const referencesOf = (objective: string): string[] => (objective === 'stf' ? ['--reference-batch', '32'] : []);

/** The loss of each step. */
async function losses(...flags: string[]): Promise<number[]> {
  const { code, stderr } = await stf([...tiny, ...flags, '--outdir', folder.join('runs')]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const [, run] = folder.list();
  const ticks = await readStatistics(folder.join(run));
  expect(run).toContain('00000-cifar10-');
  return ticks.map(({ values }) => values['Loss/loss'].mean);
}

function expectFalling(loss: readonly number[]): void {
  expect(loss).toHaveLength(steps);
  expect(loss.every(Number.isFinite), `${loss}`).toBe(true);
  expect(Math.abs(loss[0] - 1), `${loss}`).toBeLessThan(0.03);
  // 0.42 to 0.77 when this was written.
  expect(meanOfLast(loss), `${loss}`).toBeLessThan(0.85);
}

const meanOfLast = (loss: readonly number[]): number => loss.slice(-3).reduce((sum, each) => sum + each / 3, 0);

describe.each(archs)('%s', (arch) => {
  describe.each(preconditionings)('%s', (precond) => {
    test.each(objectives)('%s: the loss falls in ten steps', async (objective) => {
      const chosen = ['--arch', arch, '--precond', precond, '--objective', objective];
      expectFalling(await losses(...chosen, ...referencesOf(objective)));
    });
  });
});

// Wide enough for a head of attention in ADM.
describe.each([
  ['ddpmpp', 'edm', ['--attn', '16']],
  ['ncsnpp', 've', ['--attn', '16']],
  ['adm', 'vp', ['--attn', '16', '--cbase', '16', '--cres', '1,4']],
])('class-conditional %s with %s', (arch, precond, flags) => {
  test.each(objectives)('%s: the loss falls in ten steps', async (objective) => {
    const chosen = ['--cond', '--arch', arch, '--precond', precond, '--objective', objective, ...flags];
    expectFalling(await losses(...chosen, ...referencesOf(objective)));
  });
});

test.each(preconditionings)('%s: a network that does not learn keeps its loss', async (precond) => {
  const loss = await losses('--precond', precond, '--reference-batch', '32', '--lr', '1e-12');
  expect(Math.abs(meanOfLast(loss) - 1), `${loss}`).toBeLessThan(0.03);
});
