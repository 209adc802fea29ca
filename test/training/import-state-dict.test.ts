import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DenoiserConfig } from '../../src/diffusion/index.ts';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { FormatError, UsageError } from '../../src/errors.ts';
import { decodeSafetensors, encodeSafetensors } from '../../src/formats/safetensors.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { adm, ddpmpp, ncsnpp } from '../../src/networks/index.ts';
import type { NetworkConfig } from '../../src/networks/index.ts';
import { initialize, parameterTable } from '../../src/nn/index.ts';
import { denoiserFromPyTorch, exportPyTorch, formulations, importPyTorch, presets } from '../../src/training/index.ts';
import { torchLegacy, torchZip } from '../support/torch-files.ts';

/*
 * State dicts without a configuration. The first oracle are tensors that PyTorch wrote and the arguments that their
 * networks were made with; the second are networks of every kind that are made here.
 */
type State = Map<string, NamedTensor>;
const folder = join(import.meta.dirname, '../fixtures/parity/networks');
const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as {
  files: Record<string, { constructor: string; kwargs: Record<string, unknown> }>;
};

/** Whether two vectors are the same bits; comparing a million values one by one would take seconds. */
const sameBits = (a: Float32Array, b: Float32Array): boolean =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));

/** The state dict of a small denoiser with random weights, as PyTorch names it. */
function exported(denoiser: DenoiserConfig): { state: State; weights: Float32Array } {
  const table = parameterTable((source) => makeDenoiser(source, denoiser));
  const weights = initialize(table, 3);
  const vectors = { weights, ema: weights, 'adam.m': weights, 'adam.v': weights };
  const options = { ...presets.quickstart, denoiser };
  return { state: decodeSafetensors(exportPyTorch({ options, table, vectors })).tensors, weights };
}

const renamed = (state: State, rename: (name: string) => string): State =>
  new Map([...state].map(([name, tensor]) => [rename(name), tensor]));

const size = { resolution: 16, modelChannels: 8, channelMult: [1, 2, 2], blocks: 1, attentionResolutions: [8] };
const { edm, iddpm } = formulations;
const small: DenoiserConfig = {
  network: { ...ddpmpp, ...size, dropout: 0 },
  preconditioning: edm.preconditioning,
};

describe('state dicts of PyTorch', () => {
  test.each(['b_edm_ncsnpp.safetensors', 'f_edm_ddpmpp_cond_aug.safetensors'])('%s', (name) => {
    const { tensors } = decodeSafetensors(readFileSync(join(folder, name)));
    const ofState = [...tensors].filter(([tensor]) => tensor.startsWith('state.'));
    const state = new Map(ofState.map(([tensor, value]) => [tensor.slice('state.'.length), value]));
    const { options, vectors, notes } = importPyTorch(encodeSafetensors(state), name);
    const { network } = denoiserFromPyTorch(manifest.files[name]);
    expect(options.denoiser).toEqual({ network: { ...network, dropout: 0 }, preconditioning: edm.preconditioning });
    const { class_name, init_kwargs } = {
      class_name: manifest.files[name].constructor,
      init_kwargs: JSON.stringify(manifest.files[name].kwargs),
    };
    const told = importPyTorch(encodeSafetensors(state, { class_name, init_kwargs }), name);
    expect(sameBits(vectors.ema, told.vectors.ema)).toBe(true);
    expect(notes.join(' ')).toMatch(/edm with sigma_data 0\.5 is assumed.*--precond.*dropout: 0/);
    expect(told.notes).toEqual([]);
  });
});

describe('a network is known by the names and shapes of its tensors', () => {
  const labels = { labelDim: 7, augmentDim: 5 };
  const one = { channelMult: [3], attentionResolutions: [16] };
  const networks: Record<string, NetworkConfig> = {
    'DDPM++': { ...ddpmpp, ...size },
    'NCSN++': { ...ncsnpp, ...size, ...labels },
    'skip encoder and decoder': { ...ddpmpp, ...size, encoder: 'skip', decoder: 'skip', resampleFilter: [1, 2, 1] },
    'residual encoder, skip decoder, no attention': {
      ...ncsnpp,
      ...size,
      decoder: 'skip',
      attentionResolutions: [],
      channelMultNoise: 3,
      channelMultEmbedding: 2,
      blocks: 2,
      channels: 1,
    },
    'a filter of no small whole numbers': { ...ddpmpp, ...size, resampleFilter: [0.137, 0.5, 0.363] },
    'one level': { ...ddpmpp, ...size, ...one },
    ADM: { ...adm, ...size, modelChannels: 16, channelMult: [1, 4], labelDim: 3, blocks: 2 },
    'ADM with augmentation, of one channel': {
      ...adm,
      ...size,
      ...labels,
      channels: 1,
      outChannels: 1,
      channelMult: [8],
      attentionResolutions: [16],
    },
  };

  test.each(Object.keys(networks))('%s', (name) => {
    const network = { ...networks[name], dropout: 0 };
    const { state, weights } = exported({ network, preconditioning: edm.preconditioning });
    const imported = importPyTorch(encodeSafetensors(state), 'x.safetensors');
    const found = imported.options.denoiser.network;
    if ('resampleFilter' in network && 'resampleFilter' in found && !Number.isInteger(network.resampleFilter[0])) {
      // Known up to a factor, and to the precision of float32.
      found.resampleFilter.forEach((each, i) => expect(each).toBeCloseTo(network.resampleFilter[i], 6));
      expect({ ...found, resampleFilter: [] }).toEqual({ ...network, resampleFilter: [] });
    } else expect(found).toEqual(network);
    expect(sameBits(imported.vectors.ema, weights)).toBe(true);
    // Out again, the state dict is the same, filters included.
    const { tensors } = decodeSafetensors(exportPyTorch(imported));
    expect([...tensors.keys()].sort()).toEqual([...state.keys()].sort());
  });

  test('iDDPM is told by its noise levels, and by channels for a variance', () => {
    // Too narrow for a head of attention, so that nothing attends.
    const network = { ...adm, ...size, attentionResolutions: [], outChannels: 6, labelDim: 0, dropout: 0 };
    const { state, weights } = exported({ network, preconditioning: { ...iddpm.preconditioning, steps: 50 } });
    const whole = importPyTorch(encodeSafetensors(state), 'x.safetensors');
    expect(whole.options.denoiser).toEqual({ network, preconditioning: { ...iddpm.preconditioning, steps: 50 } });
    expect(sameBits(whole.vectors.ema, weights)).toBe(true);
    const inner = new Map([...state].flatMap(([name, tensor]) => (name === 'u' ? [] : [[name.slice(6), tensor]])));
    expect(importPyTorch(encodeSafetensors(inner), 'x.safetensors').options.denoiser.preconditioning).toEqual(
      iddpm.preconditioning,
    );
    expect(() => importPyTorch(encodeSafetensors(state), 'x', { preconditioning: edm.preconditioning })).toThrow(
      /^x: --precond edm does not fit: the network has twice as many channels out as in\. Choose iddpm\./,
    );
  });
});

describe('forms of files and names', () => {
  const { state, weights } = exported(small);
  const inner = renamed(state, (name) => name.replace('model.', ''));
  const files: Record<string, Uint8Array> = {
    safetensors: encodeSafetensors(state),
    'a zip archive': torchZip(state),
    'the older form of torch.save': torchLegacy(state),
    'the network without its preconditioner': torchZip(inner),
    DistributedDataParallel: torchZip(renamed(state, (name) => `module.${name}`)),
    'DistributedDataParallel around the network alone': torchLegacy(renamed(inner, (name) => `module.${name}`)),
    'a compiled module in DistributedDataParallel': encodeSafetensors(
      renamed(state, (name) => `module._orig_mod.${name}`),
    ),
    'a dict with the state dict inside': torchZip(state, 'state_dict'),
    'a dict with the moving average inside': torchZip(state, 'ema'),
  };
  test.each(Object.keys(files))('%s', (form) => {
    const imported = importPyTorch(files[form], 'x.pth', { nimg: 7 });
    expect(imported.options.denoiser).toEqual(small);
    expect(sameBits(imported.vectors.ema, weights)).toBe(true);
    expect(imported).toMatchObject({ progress: { nimg: 7 }, found: { weights: false, ema: false, adam: false } });
  });

  // Where the structure is: in the first bytes, and in the last ones of a zip archive.
  test.each(Object.keys(files))('%s, with bytes changed, is read or refused', (form) => {
    const file = files[form];
    const place = fc.oneof(
      fc.nat(20_000),
      fc.nat(2000),
      fc.nat(2000).map((back) => file.length - 1 - back),
    );
    const value = fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('0123456789[]{},":')));
    fc.assert(
      fc.property(fc.array(fc.tuple(place, value), { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Uint8Array.from(file);
        for (const [at, byte] of changes) bytes[at] = byte;
        try {
          importPyTorch(bytes, 'x.pth');
        } catch (error) {
          if (!(error instanceof FormatError || error instanceof UsageError)) throw error;
          expect(error.message).toMatch(/^x\.pth: ./);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('a preconditioning, or the whole configuration, can be given', () => {
    const { ve } = formulations;
    const asVe = importPyTorch(files.safetensors, 'x', { preconditioning: ve.preconditioning });
    expect(asVe.options).toMatchObject({ denoiser: { preconditioning: { kind: 've' } }, noiseLevels: ve.noiseLevels });
    expect(asVe.notes.join(' ')).not.toMatch(/assumed\. --precond/);
    const denoiser = { ...small, preconditioning: { kind: 'edm', sigmaData: 0.3 } } as const;
    const given = importPyTorch(files.safetensors, 'x', { denoiser });
    expect(given).toMatchObject({ options: { denoiser }, notes: [] });
    const asIddpm = () =>
      importPyTorch(files.safetensors, 'x', { preconditioning: formulations.iddpm.preconditioning });
    expect(asIddpm).toThrow(
      /^x: --precond iddpm does not fit: the network has as many .*\. Choose edm, vp, ve, sub-vp or flow\.$/,
    );
    // Not twice: a file that says it itself is not overruled.
    const says = exportPyTorch(given);
    expect(() => importPyTorch(says, 'x', { denoiser })).toThrow(/^x: it says itself .* EDMPrecond: --network-of/);
  });
});

describe('element types', () => {
  const { state, weights } = exported(small);
  /** The bits of a half whose fraction is cut off, by the definition of binary16; for values between 2^-14 and 2^15. */
  const cut16 = (value: number): number => {
    if (Math.abs(value) < 2 ** -14) return value < 0 ? 0x8000 : 0;
    const exponent = Math.floor(Math.log2(Math.abs(value)));
    const fraction = Math.floor((Math.abs(value) / 2 ** exponent - 1) * 1024);
    return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | fraction;
  };
  const half = (bits: number): number => {
    const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
    return (
      (bits >> 15 ? -1 : 1) * (exponent === 0 ? fraction * 2 ** -24 : 2 ** (exponent - 15) * (1 + fraction / 1024))
    );
  };
  const cutBf16 = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0] >>> 16;
  const as = (change: (tensor: NamedTensor) => Pick<NamedTensor, 'dtype' | 'data'>): State =>
    new Map([...state].map(([name, tensor]) => [name, { ...tensor, ...change(tensor) }]));
  const values = ({ data }: NamedTensor): number[] => Array.from(data as Float32Array);

  test('F16 becomes float32 without a change', () => {
    const file = torchZip(as((tensor) => ({ dtype: 'F16', data: Uint16Array.from(values(tensor), cut16) })));
    const { vectors, notes } = importPyTorch(file, 'x.pth');
    expect(
      sameBits(
        vectors.ema,
        weights.map((value) => half(cut16(value))),
      ),
    ).toBe(true);
    expect(notes.join(' ')).toMatch(/(\d+) of \1 tensors of F16 became float32, without a change\./);
  });

  test('BF16 becomes float32 without a change', () => {
    const file = torchLegacy(as((tensor) => ({ dtype: 'BF16', data: Uint16Array.from(values(tensor), cutBf16) })));
    const { vectors, notes } = importPyTorch(file, 'x.pth');
    const expected = new Float32Array(Uint32Array.from(weights, (value) => cutBf16(value) << 16).buffer);
    expect(sameBits(vectors.ema, expected)).toBe(true);
    expect(notes.join(' ')).toMatch(/of BF16 became float32, without a change\./);
  });

  test('F64 is rounded to the nearest float32', () => {
    const shifted = (value: number): number => value * (1 + 2 ** -26);
    const file = torchZip(as((tensor) => ({ dtype: 'F64', data: Float64Array.from(values(tensor), shifted) })));
    const { vectors, notes } = importPyTorch(file, 'x.pth');
    // A quarter of a unit in the last place and less: the nearest is where it came from.
    expect(sameBits(vectors.ema, weights)).toBe(true);
    expect(notes.join(' ')).toMatch(/(\d+) of \1 tensors of F64 were rounded to float32\./);
  });

  test.each([NaN, Infinity])('%s is refused by name and place', (value) => {
    const bias = state.get('model.map_layer0.bias')!;
    const data = Float32Array.from(values(bias), (each, i) => (i === 5 ? value : each));
    const file = torchZip(new Map([...state, ['model.map_layer0.bias', { ...bias, data }]]));
    expect(() => importPyTorch(file, 'x.pth')).toThrow(/^x\.pth: "model\.map_layer0\.bias" holds \w+ at element 5: /);
  });

  test('whole numbers are refused by name', () => {
    const file = encodeSafetensors({
      ...Object.fromEntries(state),
      'model.map_layer0.bias': { dtype: 'I64', shape: [32], data: new BigInt64Array(32) },
    });
    expect(() => importPyTorch(file, 'x.pth')).toThrow(/^x\.pth: "model\.map_layer0\.bias" is of type I64.*F32, F16/);
  });
});

describe('what does not fit is named', () => {
  const { state } = exported(small);
  const bits = (shape: readonly number[], data = new Float32Array(shape.reduce((a, b) => a * b, 1))): NamedTensor => ({
    dtype: 'F32',
    shape,
    data,
  });
  const filter = 'model.dec.16x16_up.skip.resample_filter';
  test.each<[what: string, change: Record<string, NamedTensor | undefined>, message: RegExp]>([
    ['no network', Object.fromEntries([...state].map(([name]) => [name, undefined])), /none is called enc\.RxR_conv/],
    [
      'a tensor missing',
      { 'model.enc.8x8_down.conv0.bias': undefined },
      /no parameter "model\.enc\.8x8_down\.conv0\.bias"/,
    ],
    [
      'a tensor too many',
      { 'model.enc.8x8_down.conv9.bias': bits([1]) },
      /"model\.enc\.8x8_down\.conv9\.bias" that this/,
    ],
    ['another shape', { 'model.enc.8x8_down.conv0.bias': bits([3]) }, /conv0\.bias" has shape \[8\] here and \[3\]/],
    ['no embedding', { 'model.map_layer0.weight': undefined }, /no tensor "map_layer0\.weight".*--network-of PATH/],
    [
      'an odd width',
      { 'model.dec.8x8_block0.conv0.weight': bits([9, 8, 3, 3]) },
      /"dec\.8x8_block0\.conv0\.weight" is 9/,
    ],
    [
      'another filter',
      { [filter]: bits([1, 1, 2, 2], Float32Array.of(0.3, 0.2, 0.2, 0.3)) },
      /up\.skip\.resample_filter" holds 0\.3/,
    ],
    [
      'a filter of infinities',
      { [filter]: bits([1, 1, 2, 2], Float32Array.of(NaN, Infinity, 1, 1)) },
      /resample_filter/,
    ],
    ['a filter of another length', { [filter]: bits([1, 1, 3, 3]) }, /resample_filter" has shape \[1,1,3,3\]/],
  ])('%s', (_, change, message) => {
    const changed = new Map<string, NamedTensor>();
    for (const [name, tensor] of [...state, ...Object.entries(change)]) {
      if (name in change && change[name] === undefined) changed.delete(name);
      else changed.set(name, tensor!);
    }
    changed.set('x', bits([1]));
    if (!changed.has('model.x') && changed.size > 1) changed.delete('x');
    const importing = () => importPyTorch(encodeSafetensors(changed), 'x.safetensors');
    expect(importing).toThrow(UsageError);
    expect(importing).toThrow(message);
    expect(importing).toThrow(/^x\.safetensors: /);
  });

  test('two prefixes that give the same name', () => {
    const twice = new Map([...state, ['module.model.map_layer0.bias', state.get('model.map_layer0.bias')!] as const]);
    expect(() => importPyTorch(encodeSafetensors(twice), 'x')).toThrow(/^x: two of its tensors have the same name/);
  });
});

describe("iDDPM's noise levels", () => {
  const network = { ...adm, ...size, outChannels: 6, labelDim: 0, dropout: 0 };
  const denoiser = { network, preconditioning: iddpm.preconditioning };
  const { state, weights } = exported(denoiser);
  const kwargs = (extra: object): Record<string, string> => ({
    class_name: 'iDDPMPrecond',
    init_kwargs: JSON.stringify({
      ...{ img_resolution: 16, img_channels: 3, model_channels: 8, channel_mult: [1, 2, 2], num_blocks: 1 },
      ...{ attn_resolutions: [8], dropout: 0, ...extra },
    }),
  });
  const withTable = (data: Float32Array): Uint8Array =>
    encodeSafetensors(new Map([...state, ['u', { dtype: 'F32', shape: [data.length], data }]]), kwargs({}));

  test('without an offset, C_2 = 0, go out and come back', () => {
    const flat = { network, preconditioning: { ...iddpm.preconditioning, c2: 0 } };
    const imported = importPyTorch(encodeSafetensors(exported(flat).state, kwargs({ C_2: 0 })), 'x');
    expect(imported.options.denoiser).toEqual(flat);
    expect(importPyTorch(exportPyTorch(imported), 'x').options.denoiser).toEqual(flat);
  });

  test('are exported with the bits that PyTorch gives them', () => {
    const { tensors } = decodeSafetensors(readFileSync(join(folder, 'tables_iddpm.safetensors')));
    expect(sameBits(state.get('u')!.data as Float32Array, tensors.get('u')!.data as Float32Array)).toBe(true);
  });

  test('go out and come back, with every bit of the weights', () => {
    const file = encodeSafetensors(state, kwargs({}));
    const imported = importPyTorch(file, 'x');
    expect(imported.options.denoiser).toEqual(denoiser);
    expect(sameBits(imported.vectors.ema, weights)).toBe(true);
    const again = importPyTorch(exportPyTorch(imported), 'x');
    expect(again.options).toEqual(imported.options);
    expect(decodeSafetensors(exportPyTorch(again)).tensors).toEqual(state);
  });

  test('of a machine that rounds otherwise are taken', () => {
    // The last bit of each, at random: as another sine would leave them.
    const levels = (state.get('u')!.data as Float32Array).map((level, j) =>
      Math.fround(level * (1 + ((j % 3) - 1) * 2 ** -23)),
    );
    expect(() => importPyTorch(withTable(levels), 'x')).not.toThrow();
  });

  test.each([
    ['stretched', (level: number) => level * 1.001, /"u" has the noise level \d+\.?\d* at step 0, where C_1 = 0\.001/],
    ['with one other level', (level: number, j: number) => (j === 999 ? level * 1.02 : level), /at step 999,/],
    ['of infinity', () => Infinity, /noise level Infinity at step 0/],
    ['of NaN', () => NaN, /noise level NaN at step 0/],
  ] as [string, (level: number, j: number) => number, RegExp][])(
    '%s are a schedule of their own, and refused',
    (_, change, message) => {
      const levels = (state.get('u')!.data as Float32Array).map(change);
      expect(() => importPyTorch(withTable(levels), 'x')).toThrow(message);
    },
  );

  test('of another length than M are refused before anything is computed', () => {
    const importing = () => importPyTorch(encodeSafetensors(state, kwargs({ M: 2 ** 40 })), 'x');
    expect(importing).toThrow(/^x: iDDPMPrecond: argument "M" must be an integer of at most 100000, got 1099511627776/);
    const other = () => importPyTorch(encodeSafetensors(state, kwargs({ M: 100_000 })), 'x');
    expect(other).toThrow(/^x: its preconditioning has 100000 steps, and the tensor "u" the noise levels of 1000/);
  });
});
