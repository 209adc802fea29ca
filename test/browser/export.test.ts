import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toUint8 } from '../../src/data/pixels.ts';
import { sampleShapeOf } from '../../src/networks/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { drawLatents, generate, samplerToOnnx } from '../../src/sampling/index.ts';
import { imageOptions, noisyWeights } from '../devices/small-images.ts';
import { bundle } from './bundle.ts';
import { executable, noChromium, openPage } from './chromium.ts';
import type { OpenPage } from './chromium.ts';

/* The page of docs/export.md, as it is printed there, in a browser. */

const docs = readFileSync(join(import.meta.dirname, '../../docs/export.md'), 'utf8');
const [, snippet] = /```js\n(.*?)```/s.exec(docs)!;

/** Says where the engine's files are, and gives the page's function to the test. */
const page = `${snippet}
ort.env.wasm.wasmPaths = '/engine/';
globalThis.pixelsOf = async (device, latents) => {
  const canvas = document.createElement('canvas');
  await draw(canvas, { address: '/sampler.onnx', device, latents: Float32Array.from(latents) });
  return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data];
};
`;

const { denoiser: config } = imageOptions;
const weights = noisyWeights(imageOptions);
const sampler = { steps: 4, sigmaMin: 0.002, sigmaMax: 80, rho: 7 };
const shape = sampleShapeOf(config.network);
const plane = shape[1] * shape[2];
const seed = 3;

function browserTests(): void {
  let open: OpenPage;
  let tab: Page;

  beforeAll(async () => {
    const description = { name: 'test', license: 'CC0-1.0', version: '0' };
    const code = await bundle('snippet.js', page);
    const files: (readonly [string, string | Uint8Array])[] = code.map((file) => [`/${file.name}`, file.code]);
    open = await openPage(
      [['/sampler.onnx', samplerToOnnx({ config, weights, sampler, description })], ...files],
      'pixelsOf',
    );
    tab = open.tab;
  });

  afterAll(() => open?.close());

  test.each(['wasm', 'webgpu'])('on %s', { timeout: 200_000 }, async (device) => {
    const latents = [...drawLatents([seed], shape)];
    const drawn = await tab.evaluate(
      ([name, values]) =>
        (globalThis as unknown as { pixelsOf: (name: string, values: number[]) => Promise<number[]> }).pixelsOf(
          name,
          values,
        ),
      [device, latents] as const,
    );
    // The page asks for class 0.
    const samples = await generate(nodeRuntime({ threads: 1 }), config, weights, [seed], {
      ...sampler,
      labels: [0],
      batch: 1,
    });
    const pixels = toUint8(samples);
    const expected = Array.from({ length: 4 * plane }, (_, i) =>
      i % 4 === 3 ? 255 : pixels[(i % 4) * plane + (i >> 2)],
    );
    expect(new Set(expected).size).toBeGreaterThan(20);
    expect(drawn).toHaveLength(expected.length);
    expect(Math.max(...drawn.map((value, i) => Math.abs(value - expected[i])))).toBeLessThanOrEqual(1);
  });
}

if (executable) describe('the page of docs/export.md draws what Node draws', browserTests);
else test('the page of docs/export.md', (context) => context.skip(noChromium));
