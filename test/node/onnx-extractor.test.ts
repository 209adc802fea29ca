import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { afterAll, expect, test, vi } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { input, mul, toOnnxForAnyBatch } from '../../src/graph/index.ts';
import { nodeRuntime, openOnnxExtractor } from '../../src/node/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'stf-extractor-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file that takes images of one channel, and an extractor takes three. */
function greyModel(): string {
  const path = join(folder, 'grey.onnx');
  const outputs = (batch: number) => ({ features: mul(input('images', [batch, 1, 4, 4]), 2) });
  writeFileSync(path, toOnnxForAnyBatch(outputs, { name: 'twice', weights: new Map(), metadata: {} }));
  return path;
}

// A class, whose type says only what makes sessions.
const sessions = ort.InferenceSession as unknown as { prototype: ort.InferenceSession };

test('a model that is no extractor is released when it is refused', async () => {
  const released = vi.spyOn(sessions.prototype, 'release');
  const refused = openOnnxExtractor(greyModel(), nodeRuntime({ threads: 1 }), { threads: 1 });
  await expect(refused).rejects.toThrow(UsageError);
  expect(released).toHaveBeenCalledTimes(1);
});
