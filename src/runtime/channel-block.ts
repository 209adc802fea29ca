import { conv2d, evaluate, gradients, input, mul, sizeOf, sum, toOnnx } from '../graph/index.ts';
import type { InferenceSession, OrtApi } from './ort.ts';

/** Blocks that the engine has on some processor: 16 channels with AVX-512, else 8. */
const candidates = [16, 8];

const found = new WeakMap<OrtApi, Promise<number | undefined>>();

/**
 * How many channels lie side by side in the engine's own layout of convolutions. The engine does not say; so a small
 * convolution and its gradient are computed with each candidate and compared with plain arithmetic. Once a process.
 *
 * @returns undefined where no candidate gives the right numbers, or there is no such layout
 */
export function findChannelBlock(
  api: OrtApi,
  sessionOptions: InferenceSession.SessionOptions,
): Promise<number | undefined> {
  const known = found.get(api);
  if (known) return known;
  const search = tryAll(api, sessionOptions);
  found.set(api, search);
  search.catch(() => found.delete(api));
  return search;
}

async function tryAll(api: OrtApi, sessionOptions: InferenceSession.SessionOptions): Promise<number | undefined> {
  for (const block of candidates) if (await isRight(api, sessionOptions, block)) return block;
  return undefined;
}

/** Of a sum of some hundred products, relative: rounding is below 1e-5, and a wrong block gives other numbers altogether. */
const tolerance = 1e-4;

async function isRight(
  api: OrtApi,
  sessionOptions: InferenceSession.SessionOptions,
  channelBlock: number,
): Promise<boolean> {
  const x = input('x', [1, 16, 4, 3]);
  const weight = input('weight', [32, 16, 3, 3]);
  const y = conv2d(x, weight, { padding: 1 });
  const outputs = { y, dx: gradients(sum(mul(y, y)), [x])[0] };
  const values = [x, weight].map((tensor) =>
    Float64Array.from({ length: sizeOf(tensor.shape) }, (_, i) => Math.sin(i)),
  );
  const expected = evaluate(
    [outputs.y, outputs.dx],
    new Map([
      [x, values[0]],
      [weight, values[1]],
    ]),
  );
  const feeds = {
    x: new api.Tensor('float32', Float32Array.from(values[0]), x.shape),
    weight: new api.Tensor('float32', Float32Array.from(values[1]), weight.shape),
  };
  const model = toOnnx(outputs, { name: 'channel block', channelBlock });
  // Where the engine has no such operator on this processor it refuses the model.
  const session = await api.InferenceSession.create(model, sessionOptions).catch(() => undefined);
  if (!session) return false;
  try {
    const results = await session.run(feeds);
    return Object.keys(outputs).every((name, i) => {
      const actual = results[name].data as Float32Array;
      return expected[i].data.every((value, at) => Math.abs(actual[at] - value) <= tolerance * (1 + Math.abs(value)));
    });
  } finally {
    await session.release();
  }
}
