import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { parameterTable } from '../../src/nn/index.ts';
import { generate } from '../../src/sampling/index.ts';
import { decodeCheckpoint, encodeCheckpoint, train } from '../../src/training/index.ts';
import type { TrainingOptions, TrainingState } from '../../src/training/index.ts';
import { imageOptions, noisyWeights } from '../devices/small-images.ts';
import { relativeDifference } from '../devices/twin-runtime.ts';
import { testValues } from '../support/random.ts';
import { toyOptions, toyPoints } from '../training/toy-run.ts';
import { bundle } from './bundle.ts';
import { executable, noChromium, openPage } from './chromium.ts';
import type { OpenPage } from './chromium.ts';
import type * as page from './page.ts';

/** What devices of one machine and processors of another agree to. */
const tolerance = 1e-3;

/** A checkpoint of a network that gives images of 8 by 8 pixels, three classes left out. */
function imageCheckpoint(): Uint8Array {
  const { denoiser, samples } = imageOptions;
  const network = { ...denoiser.network, labelDim: 0, dropout: 0 };
  const options: TrainingOptions = {
    ...imageOptions,
    denoiser: { ...denoiser, network },
    samples: { ...samples, steps: 4 },
  };
  const weights = noisyWeights(options);
  const nothing = new Float32Array(weights.length);
  return encodeCheckpoint({
    options,
    progress: { nimg: 0, step: 0, tick: 0, seconds: 0 },
    table: parameterTable((source) => makeDenoiser(source, options.denoiser)),
    vectors: { weights, ema: weights, 'adam.m': nothing, 'adam.v': nothing },
  });
}

/** Twenty steps of eight points. */
const training = toyOptions({ durationKimg: 0.16, kimgPerTick: 0.16 });
const points = testValues(120, [-1, 1]);

/** The same in Node. */
async function trainedInNode(): Promise<{ ema: Float32Array; losses: number[] }> {
  const losses: number[] = [];
  let last: TrainingState | undefined;
  await train({
    runtime: nodeRuntime({ threads: 1 }),
    dataset: toyPoints(),
    options: training,
    observer: {
      step: (_, loss) => losses.push(loss),
      tick: () => Promise.resolve(),
      samples: () => Promise.resolve(),
      checkpoint: (state) => {
        last = state;
        return Promise.resolve();
      },
    },
    now: () => 0,
    memoryGb: () => 0,
  });
  return { ema: last!.vectors.ema, losses };
}

function browserTests(): void {
  let open: OpenPage;
  let tab: Page;
  const checkpoint = imageCheckpoint();

  beforeAll(async () => {
    const code = await bundle('page.ts');
    const files: (readonly [string, string | Uint8Array])[] = code.map((file) => [`/${file.name}`, file.code]);
    open = await openPage([['/checkpoint', checkpoint], ...files], 'stf');
    tab = open.tab;
  });

  afterAll(() => open?.close());

  describe.each(['wasm', 'webgpu'] as const)('%s', (device) => {
    test('loads a checkpoint and draws four images, as Node does', { timeout: 200_000 }, async () => {
      const result = await tab.evaluate(
        ([name, address]) => (globalThis as unknown as { stf: typeof page }).stf.sample(name, address),
        [device, '/checkpoint'] as const,
      );
      const { options, vectors } = decodeCheckpoint(checkpoint, 'checkpoint');
      const { count, ...sampler } = options.samples;
      expect(count).toBeGreaterThanOrEqual(4);
      const expected = await generate(nodeRuntime({ threads: 1 }), options.denoiser, vectors.ema, [0, 1, 2, 3], {
        ...sampler,
        batch: 4,
      });
      expect(result.device).toBe(device);
      expect(result.samples).toHaveLength(4 * 192);
      expect(relativeDifference(expected, Float32Array.from(result.samples))).toBeLessThan(tolerance);
    });

    test('trains twenty steps, as Node does', { timeout: 200_000 }, async () => {
      const result = await tab.evaluate(
        ([name, task]) => (globalThis as unknown as { stf: typeof page }).stf.trainToy(name, task),
        [device, { options: training, points: [...points] }] as const,
      );
      const expected = await trainedInNode();
      expect(result.losses).toHaveLength(20);
      expect(relativeDifference(Float32Array.from(expected.losses), Float32Array.from(result.losses))).toBeLessThan(
        tolerance,
      );
      expect(relativeDifference(expected.ema, Float32Array.from(result.ema))).toBeLessThan(tolerance);
    });
  });

  test('the page is isolated, and Wasm has the threads that the machine has', async () => {
    expect(await tab.evaluate('crossOriginIsolated')).toBe(true);
  });

  test('auto does not take a software driver', async () => {
    const result = await tab.evaluate(() =>
      (globalThis as unknown as { stf: typeof page }).stf.sample('auto', '/checkpoint'),
    );
    expect(result.device).toBe('wasm');
    expect(result.threads).toBeGreaterThanOrEqual(1);
  });

  test('a checkpoint that is not there is an error that names it', async () => {
    await expect(
      tab.evaluate(() => (globalThis as unknown as { stf: typeof page }).stf.sample('wasm', '/nothing')),
    ).rejects.toThrow("can't load /nothing: the server says 404");
  });
}

if (executable) describe('in headless Chromium', browserTests);
else test('in headless Chromium', (context) => context.skip(noChromium));

test("a production bundle of a page that samples takes less than 300 kB beside the engine's own files", async () => {
  const files = await bundle('sampling-page.ts');
  expect(files.map(({ name }) => name).sort((a, b) => a.localeCompare(b))).toEqual(['engine.js', 'page.js']);
  const bytes = Buffer.byteLength(files.find(({ name }) => name === 'page.js')!.code);
  expect(bytes).toBeLessThan(300_000);
  // It is the page and not an empty file: the sampler's error messages are in it.
  expect(files.find(({ name }) => name === 'page.js')!.code).toContain('steps');
});
