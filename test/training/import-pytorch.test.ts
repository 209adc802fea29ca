import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { FormatError, UsageError } from '../../src/errors.ts';
import { decodeSafetensors, encodeSafetensors } from '../../src/formats/safetensors.ts';
import { readTorchCheckpoint } from '../../src/formats/torch-module.ts';
import { adm, ddpmpp, ncsnpp } from '../../src/networks/index.ts';
import { initialize, parameterTable, viewsOf } from '../../src/nn/index.ts';
import {
  decodeCheckpoint,
  encodeCheckpoint,
  exportPyTorch,
  formulations,
  importPyTorch,
  presets,
  withPreconditioning,
} from '../../src/training/index.ts';

/*
 * That the values are right and the network gives the same outputs is checked against PyTorch in test/parity; here, what
 * becomes of them.
 */
const folder = join(import.meta.dirname, '../fixtures');
const snapshot = readFileSync(join(folder, 'parity/pickles/ncsnpp/network-snapshot-000001.pkl'));
const trainingState = readFileSync(join(folder, 'parity/pickles/ddpmpp/training-state-000001.pt'));

describe('a network snapshot', () => {
  const imported = importPyTorch(snapshot, 'snapshot.pkl', { nimg: 1000 });

  test('has a moving average only', () => {
    expect(imported.found).toEqual({ weights: false, ema: true, adam: false });
    expect(imported.vectors.weights).toEqual(imported.vectors.ema);
    expect(imported.vectors['adam.m'].every((value) => value === 0)).toBe(true);
    expect(imported.progress).toEqual({ nimg: 1000, step: 0, tick: 0, seconds: 0 });
  });

  test('tells how its network is built', () => {
    expect(imported.options.denoiser).toMatchObject({
      preconditioning: { kind: 'edm', sigmaData: 0.5 },
      network: { kind: 'song-unet', resolution: 16, embedding: 'fourier', encoder: 'residual', modelChannels: 8 },
    });
  });

  test('becomes a checkpoint that keeps every bit', () => {
    const again = decodeCheckpoint(encodeCheckpoint(imported), 'again');
    expect(again.vectors).toEqual(imported.vectors);
    expect(again.options).toEqual(imported.options);
    const state = readTorchCheckpoint(snapshot).ema!.state;
    const views = viewsOf(again.table, again.vectors.ema);
    expect(views.size).toBeGreaterThan(100);
    for (const [name, { data }] of views) expect(data, name).toEqual(state.get(name)!.data);
  });
});

test('a training state has weights and the moments of Adam', () => {
  const { found, vectors, table, options, progress } = importPyTorch(trainingState, 'state.pt');
  expect(found).toEqual({ weights: true, ema: false, adam: true });
  expect(vectors.ema).toEqual(vectors.weights);
  expect(progress).toMatchObject({ nimg: 0, step: 3 });
  expect(options).toMatchObject({ learningRate: 1e-3, adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } });
  const { optimizer } = readTorchCheckpoint(trainingState);
  const first = viewsOf(table, vectors['adam.m']);
  const second = viewsOf(table, vectors['adam.v']);
  expect(optimizer!.firstMoments.size).toBeGreaterThan(100);
  for (const [name, { data }] of optimizer!.firstMoments) expect(first.get(name)!.data, name).toEqual(data);
  for (const [name, { data }] of optimizer!.secondMoments) expect(second.get(name)!.data, name).toEqual(data);
});

describe('import, export, import', () => {
  test.each([
    ['residual, filter of four', snapshot],
    ['standard, filter of two', trainingState],
  ])('%s: the state dict of PyTorch comes back whole, every bit of it', (_, file) => {
    const imported = importPyTorch(file, 'first');
    const exported = exportPyTorch(imported);
    const original = readTorchCheckpoint(file);
    const { state } = original.ema ?? original.net!;
    const { tensors } = decodeSafetensors(exported);
    expect([...tensors.keys()].sort()).toEqual([...state.keys()].sort());
    for (const [name, tensor] of state) expect(tensors.get(name), name).toEqual(tensor);

    const again = importPyTorch(exported, 'second');
    expect(again.vectors.ema).toEqual(imported.vectors.ema);
    expect(again.options.denoiser).toEqual(imported.options.denoiser);
    expect(exportPyTorch(again)).toEqual(exported);
  });

  test('a checkpoint of ours needs no import', () => {
    const bytes = encodeCheckpoint(importPyTorch(snapshot, 'first'));
    expect(() => importPyTorch(bytes, 'x.safetensors')).toThrow(/^x\.safetensors: a checkpoint of this program/);
  });
});

describe('every network and preconditioning that the official code has', () => {
  const size = { resolution: 16, modelChannels: 16, channelMult: [1, 4], blocks: 1, attentionResolutions: [8] };
  const networks = { ddpmpp, ncsnpp, adm } as const;
  const kinds = ['edm', 'vp', 've'] as const;
  // The one that imported networks get.
  const recipe = presets['cifar10-edm-ddpmpp'];

  test.each(Object.keys(networks).flatMap((name) => kinds.map((kind) => [name, kind] as const)))(
    '%s with %s goes out and comes back with every bit',
    (name, kind) => {
      const network = { ...networks[name as keyof typeof networks], ...size };
      const options = withPreconditioning(
        { ...recipe, denoiser: { ...recipe.denoiser, network } },
        formulations[kind].preconditioning,
      );
      const table = parameterTable((source) => makeDenoiser(source, options.denoiser));
      const weights = initialize(table, 3);
      const vectors = { weights, ema: weights, 'adam.m': weights, 'adam.v': weights };
      const bytes = exportPyTorch({ options, table, vectors });
      const imported = importPyTorch(bytes, 'exported.safetensors');
      expect(imported.options.denoiser).toEqual(options.denoiser);
      expect(imported.options.noiseLevels).toEqual(options.noiseLevels);
      // As bytes: comparing a million values one by one would take two seconds.
      const bits = (values: Float32Array): Buffer => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
      expect(bits(imported.vectors.ema).equals(bits(weights))).toBe(true);
    },
  );
});

describe('what can not be imported is named', () => {
  /** The snapshot with a text in it exchanged for another of the same length. */
  function changed(from: string, to: string): Uint8Array {
    expect(from).toHaveLength(to.length);
    const bytes = Buffer.from(snapshot);
    for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1)) bytes.write(to, at);
    return bytes;
  }

  test('a network of another class', () => {
    const importing = () => importPyTorch(changed('EDMPrecond', 'XYZPrecond'), 'x.pkl');
    expect(importing).toThrow(UsageError);
    expect(importing).toThrow(/^x\.pkl: the preconditioner "XYZPrecond" is not known/);
  });

  test('an argument that is not known', () => {
    expect(() => importPyTorch(changed('model_channels', 'model_chinnels'), 'x.pkl')).toThrow(/"model_chinnels"/);
  });

  test('a safetensors file that ends early, as one', () => {
    const bytes = exportPyTorch(importPyTorch(snapshot, 'first'));
    expect(() => importPyTorch(bytes.subarray(0, 300), 'x.safetensors')).toThrow(
      /^x\.safetensors: safetensors: a header of \d{4,} bytes should follow byte 8, and 292 remain; truncated\?$/,
    );
  });

  test('a constructor that is not on the list', () => {
    const importing = () => importPyTorch(changed('_load_from_bytes', '_load_from_bitez'), 'x.pkl');
    expect(importing).toThrow(FormatError);
    expect(importing).toThrow(/^x\.pkl: pickle: at byte \d+: .*"torch\.storage\._load_from_bitez"/);
  });

  test('a state dict of another network', () => {
    const bytes = readFileSync(join(folder, 'torch/small_plain_zip.pth'));
    const importing = () => importPyTorch(bytes, 'x.pth');
    expect(importing).toThrow(UsageError);
    expect(importing).toThrow(/^x\.pth: .*"Conv2d_1a_3x3\.conv\.weight".* none is called enc\.RxR_conv\.weight\./);
  });
});

/** What an import does: reads the file, or says what is wrong with it. Anything else that is thrown fails the test. */
function outcome(bytes: Uint8Array): 'read' | 'refused' {
  try {
    importPyTorch(bytes, 'x.pkl');
    return 'read';
  } catch (error) {
    if (error instanceof FormatError || error instanceof UsageError) {
      expect(error.message).toMatch(/^x\.pkl: ./);
      return 'refused';
    }
    throw error;
  }
}

describe('files that were damaged on the way', () => {
  /** Places in a file: everywhere, and where the structure is rather than the weights. */
  const place = (length: number): fc.Arbitrary<number> =>
    fc.oneof(
      fc.nat(length - 1),
      fc.nat(Math.min(12_000, length - 1)),
      fc.nat(6000).map((back) => length - 1 - back),
    );

  // An import takes about 30 ms: a damaged file that asked for hours, or for all memory, would show as a test that hangs.
  test.each([
    ['a snapshot', snapshot],
    ['a training state', trainingState],
  ])('%s with bytes changed, or cut off, is read or refused', (_, file) => {
    const seen = { read: 0, refused: 0 };
    fc.assert(
      fc.property(
        fc.array(fc.tuple(place(file.length), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.oneof({ weight: 3, arbitrary: fc.constant(file.length) }, place(file.length)),
        (changes, end) => {
          const bytes = Uint8Array.from(file.subarray(0, end));
          for (const [at, value] of changes) if (at < end) bytes[at] = value;
          seen[outcome(bytes)]++;
        },
      ),
      { numRuns: 200 },
    );
    expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(0);
  });

  test('a snapshot that ends early is refused, wherever it ends', () => {
    for (let end = 0; end < snapshot.length; end += 1 + Math.floor(snapshot.length / 97))
      expect(outcome(snapshot.subarray(0, end)), `${end} bytes`).toBe('refused');
  });

  // Built, these would take all memory or all day.
  const impossible: [Record<string, unknown>, RegExp][] = [
    [{ num_blocks: 1e5 }, /its network has \d+ blocks and more, and the file \d+ tensors/],
    [{ num_blocks: 1e9 }, /"num_blocks" must be at most 1000000, got 1000000000/],
    [{ model_channels: 2 ** 16 }, /its network has \d+ parameters, and the file holds \d+ numbers/],
    [{ model_channels: 2 ** 24 }, /"model_channels" must be at most 1000000, got 16777216/],
    [
      { num_blocks: 0, channel_mult: Array.from({ length: 60 }, () => 1) },
      /its network has 60 blocks and more|channelMult/,
    ],
    [{ attn_resolutions: Array.from({ length: 100_000 }, () => 1) }, /must have at most 64 numbers, got 100000/],
    [{ model_channels: 2 ** 52 }, /./],
    [{ channel_mult: Array.from({ length: 40 }, () => 1) }, /./],
    [{ img_resolution: 0 }, /./],
    [{ label_dim: 2 ** 19 }, /its network has \d+ parameters, and the file holds \d+ numbers/],
    [{ resample_filter: [1, 2, 1] }, /resample_filter" has shape \[1,1,4,4\], and the .* \[1,1,3,3\]/],
    [
      { resample_filter: Array.from({ length: 100_000 }, () => 1) },
      /^x\.pkl: SongUNet: argument "resample_filter" must have 1 to 64 numbers, got 100000/,
    ],
    // Filters that nothing can be divided by: compared with infinities, anything would pass.
    [
      { resample_filter: [1, 3, -3, -1] },
      /"resample_filter" must have a sum that it can be divided by, got the sum 0 of/,
    ],
    [{ resample_filter: [1e200, 3e200, 3e200, 1e200] }, /"resample_filter" must have a sum that it can be divided by/],
    [{ resample_filter: [1e-200, 3e-200, 3e-200, 1e-200] }, /"resample_filter" must have a sum that it can be/],
    [{ sigma_data: 1e-300 }, /EDMPrecond: argument "sigma_data" must be a number from 1e-18 to 1e18, got 1e-300/],
    [{ sigma_data: 1e30 }, /EDMPrecond: argument "sigma_data" must be a number from 1e-18 to 1e18, got 1e\+30/],
  ];
  test.each(impossible.map(([change, message]) => [JSON.stringify(change).slice(0, 60), change, message] as const))(
    'a configuration that asks for more than there is, or for nonsense: %s',
    (_, change, message) => {
      const { constructor, kwargs, state } = readTorchCheckpoint(snapshot).ema!;
      const metadata = { class_name: constructor, init_kwargs: JSON.stringify({ ...kwargs, ...change }) };
      const bytes = encodeSafetensors(state, metadata);
      expect(outcome(bytes)).toBe('refused');
      expect(() => importPyTorch(bytes, 'x.pkl')).toThrow(message);
    },
  );
});
