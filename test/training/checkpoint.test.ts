import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { FormatError, StfError, UsageError } from '../../src/errors.ts';
import { decodeSafetensors, encodeSafetensors } from '../../src/formats/safetensors.ts';
import { parameterTable } from '../../src/nn/index.ts';
import { decodeCheckpoint, encodeCheckpoint, isCheckpoint, writeCheckpoint } from '../../src/training/index.ts';
import type { TrainingState } from '../../src/training/index.ts';
import { testValues } from '../support/random.ts';
import { toyOptions } from './toy-run.ts';

const options = toyOptions();
const table = parameterTable((source) => makeDenoiser(source, options.denoiser));
const progress = { nimg: 40, step: 5, tick: 2, seconds: 1.25 };

/** Values that rounding, text or arithmetic would not survive. */
const vector = (seed: number): Float32Array => {
  const values = Float32Array.from(testValues(table.size, [-2, 2], seed));
  values.set([-0, 1e-45, 3.4e38, Number.NaN, -Infinity, 1 / 3]);
  return values;
};
const vectors = { weights: vector(1), ema: vector(2), 'adam.m': vector(3), 'adam.v': vector(4) };
const state: TrainingState = { options, progress, table, vectors };
const bytes = encodeCheckpoint(state);

/** The bits of a vector: NaN equals itself, -0 is not 0. */
const bits = (values: Float32Array): number[] => [...new Uint32Array(values.slice().buffer)];

test('a checkpoint comes back bit for bit', () => {
  const decoded = decodeCheckpoint(bytes, 'a.safetensors');
  expect(decoded.options).toEqual(options);
  expect(decoded.progress).toEqual(progress);
  expect(decoded.table).toEqual(table);
  for (const [name, values] of Object.entries(vectors))
    expect(bits(decoded.vectors[name as keyof typeof vectors]), name).toEqual(bits(values));
});

test('is told from other files by its metadata', () => {
  expect(isCheckpoint(bytes)).toBe(true);
  const { tensors, metadata } = decodeSafetensors(bytes);
  expect(isCheckpoint(encodeSafetensors(tensors, { ...metadata, format: 'pt' }))).toBe(false);
  expect(isCheckpoint(encodeSafetensors(tensors))).toBe(false);
  for (const other of [bytes.subarray(0, bytes.length - 1), new Uint8Array(0), Uint8Array.of(0x80, 2, 0x2e)])
    expect(isCheckpoint(other)).toBe(false);
});

test('its tensors are the parameters by name, for any reader of the format', () => {
  const { tensors, metadata } = decodeSafetensors(bytes);
  expect(tensors.size).toBe(4 * table.specs.length);
  expect(tensors.get('ema.model.in.weight')).toMatchObject({ dtype: 'F32', shape: [8, 2] });
  expect(Object.keys(metadata)).toEqual(['format', 'options', 'progress', 'checksum']);
});

test('is the same file when it is written vector by vector', async () => {
  const written: Uint8Array[] = [];
  let overwritten: [number, Uint8Array] | undefined;
  const reads: string[] = [];
  await writeCheckpoint(
    {
      ...state,
      isLast: false,
      look: (name, use) => {
        reads.push(name);
        return use(vectors[name]);
      },
    },
    {
      write: (part) => Promise.resolve(void written.push(part.slice())),
      overwrite: (position, part) => Promise.resolve(void (overwritten = [position, part])),
    },
  );
  const file = Buffer.concat(written);
  file.set(overwritten![1], overwritten![0]);
  expect(file.equals(bytes)).toBe(true);
  expect(reads.sort()).toEqual(Object.keys(vectors).sort()); // each once
});

test('one without a checksum, as they were before, is read', () => {
  const { tensors, metadata } = decodeSafetensors(bytes);
  const { checksum, ...others } = metadata;
  expect(checksum).toMatch(/^xxh32:[0-9a-f]{8}$/);
  expect(decodeCheckpoint(encodeSafetensors(tensors, others), 'old').progress).toEqual(progress);
  // But not where an accident took the name of the checksum.
  const renamed = encodeSafetensors(tensors, { ...others, checksun: checksum });
  expect(() => decodeCheckpoint(renamed, 'a')).toThrow('damaged: its metadata have no "checksum"');
});

test('and written by another program with the same content it is the same checkpoint', () => {
  const { tensors, metadata } = decodeSafetensors(bytes);
  const turned = Object.fromEntries(Object.entries(metadata).reverse());
  expect(decodeCheckpoint(encodeSafetensors(tensors, turned), 'turned').progress).toEqual(progress);
});

test('a state between two ticks comes back', () => {
  const sinceTick = {
    nimg: 24,
    seconds: 0.1,
    maintenance: 0,
    moments: [['Loss/loss', 16, 0.1 + 0.2, 1e-300] as const, ['gone', 1, Number.NaN, Infinity] as const],
  };
  const between = { ...progress, skipped: { total: 2, inARow: 1 }, sinceTick };
  const decoded = decodeCheckpoint(encodeCheckpoint({ ...state, progress: between }), 'a').progress;
  expect(decoded).toEqual({
    ...between,
    sinceTick: { ...sinceTick, moments: [sinceTick.moments[0], ['gone', 1, Number.NaN, Number.NaN]] },
  });
});

describe('refuses', () => {
  /** The checkpoint with other metadata or tensors. */
  function altered(change: (file: ReturnType<typeof decodeSafetensors>) => void): Uint8Array {
    const file = decodeSafetensors(bytes);
    delete file.metadata.checksum; // as in files of a time before there was one
    change(file);
    return encodeSafetensors(file.tensors, file.metadata);
  }

  const refused = (file: Uint8Array, kind: new (message?: string) => Error, ...parts: string[]): void => {
    expect(() => decodeCheckpoint(file, 'run/a.safetensors')).toThrow(kind);
    for (const part of ['run/a.safetensors', ...parts])
      expect(() => decodeCheckpoint(file, 'run/a.safetensors')).toThrow(part);
  };

  test('a file that ends too early, wherever', () => {
    for (const length of [0, 4, 8, 100, 1000, bytes.length - 1]) refused(bytes.slice(0, length), FormatError);
  });

  test('a file of another kind', () => {
    refused(new TextEncoder().encode('{"options": 1} and more than eight bytes'), FormatError);
    refused(encodeSafetensors({}), FormatError, 'not a checkpoint of this program');
    refused(
      altered(({ metadata }) => (metadata.format = 'stf-checkpoint/99')),
      FormatError,
      '"format" must be "stf-checkpoint/1", got "stf-checkpoint/99"',
    );
  });

  test('metadata that can not be read', () => {
    refused(
      altered(({ metadata }) => delete metadata.options),
      FormatError,
    );
    refused(
      altered(({ metadata }) => (metadata.progress = '{"nimg": -1}')),
      FormatError,
    );
    refused(
      altered(({ metadata }) => (metadata.options = JSON.stringify({ ...options, batch: 0 }))),
      UsageError,
      'batch',
    );
  });

  test('tensors that belong to another network', () => {
    const other = toyOptions({ network: { width: 16 } });
    refused(
      altered(({ metadata }) => (metadata.options = JSON.stringify(other))),
      UsageError,
      'it belongs to another network',
    );
    refused(
      altered(({ tensors }) => tensors.delete('adam.v.model.in.bias')),
      UsageError,
      'no parameter "model.in.bias" [8]',
    );
    refused(
      altered(({ tensors }) => tensors.set('ema.model.extra', { dtype: 'F32', shape: [1], data: new Float32Array(1) })),
      UsageError,
      'a parameter "model.extra" that this network lacks',
    );
  });

  test('a file in which one bit is not what it was, wherever', () => {
    const header = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const blanks = bytes.subarray(0, header).lastIndexOf(0x7d) + 1; // after the header's last brace
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(7), (at, bit) => {
        fc.pre(at < blanks || at >= header);
        const changed = bytes.slice();
        changed[at] ^= 1 << bit;
        expect(() => decodeCheckpoint(changed, 'altered')).toThrow(StfError);
      }),
      { numRuns: 300 },
    );
  });

  test('or accepts any altered header, but never fails otherwise', () => {
    const header = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    fc.assert(
      fc.property(fc.nat(header - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = bytes.slice();
        changed[at] ^= change;
        try {
          decodeCheckpoint(changed, 'altered');
        } catch (error) {
          expect(error).toBeInstanceOf(StfError);
        }
      }),
      { numRuns: 200 },
    );
  });
});
