import { expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { sizeOf } from '../../src/graph/index.ts';
import { adm, buildNetwork, ddpmpp, ncsnpp, networkConfigFromState } from '../../src/networks/index.ts';
import type { SongUNetConfig } from '../../src/networks/index.ts';
import { networkConfigFromPyTorch } from '../../src/networks/pytorch-config.ts';
import { filtersForPyTorch } from '../../src/networks/pytorch-state.ts';
import { parameterTable } from '../../src/nn/index.ts';

// The oracle is the reference code: the arguments that its train.py passes for CIFAR-10, and the defaults in the
// signatures of its networks. That the result is the same network is for the parity tests to show.
const interfaceKwargs = { img_resolution: 32, img_channels: 3, label_dim: 0 };
const cifar10 = { model_type: 'SongUNet', model_channels: 128, channel_mult: [2, 2, 2], dropout: 0.13, augment_dim: 9 };

test('the published DDPM++ and NCSN++ for CIFAR-10', () => {
  const common = { ...interfaceKwargs, ...cifar10, use_fp16: false, decoder_type: 'standard' };
  const plusPlus = { embedding_type: 'positional', encoder_type: 'standard', channel_mult_noise: 1 };
  expect(networkConfigFromPyTorch('EDMPrecond', { ...common, ...plusPlus, resample_filter: [1, 1] })).toEqual({
    ...ddpmpp,
    augmentDim: 9,
  });
  const ncsn = { embedding_type: 'fourier', encoder_type: 'residual', channel_mult_noise: 2 };
  expect(networkConfigFromPyTorch('VEPrecond', { ...common, ...ncsn, resample_filter: [1, 3, 3, 1] })).toEqual({
    ...ncsnpp,
    augmentDim: 9,
  });
});

test('arguments that are left out or null have the defaults of the reference', () => {
  expect(networkConfigFromPyTorch('VPPrecond', { img_resolution: 64, img_channels: 1, dropout: null })).toEqual({
    kind: 'song-unet',
    resolution: 64,
    channels: 1,
    modelChannels: 128,
    channelMult: [1, 2, 2, 2],
    blocks: 4,
    attentionResolutions: [16],
    dropout: 0.1,
    labelDim: 0,
    labelDropout: 0,
    augmentDim: 0,
    embedding: 'positional',
    channelMultEmbedding: 4,
    channelMultNoise: 1,
    encoder: 'standard',
    decoder: 'standard',
    resampleFilter: [1, 1],
  });
});

test('every argument arrives', () => {
  const config = networkConfigFromPyTorch('EDMPrecond', {
    img_resolution: 16,
    img_channels: 4,
    model_type: 'SongUNet',
    sigma_min: 0.002,
    sigma_max: 80,
    sigma_data: 0.3,
    label_dim: 7,
    augment_dim: 5,
    model_channels: 24,
    channel_mult: [1, 3],
    channel_mult_emb: 2,
    num_blocks: 3,
    attn_resolutions: [8, 4],
    dropout: 0.25,
    label_dropout: 0.5,
    embedding_type: 'fourier',
    channel_mult_noise: 6,
    encoder_type: 'skip',
    decoder_type: 'skip',
    resample_filter: [1, 2, 1],
  });
  expect(config).toEqual({
    kind: 'song-unet',
    resolution: 16,
    channels: 4,
    labelDim: 7,
    augmentDim: 5,
    modelChannels: 24,
    channelMult: [1, 3],
    channelMultEmbedding: 2,
    blocks: 3,
    attentionResolutions: [8, 4],
    dropout: 0.25,
    labelDropout: 0.5,
    embedding: 'fourier',
    channelMultNoise: 6,
    encoder: 'skip',
    decoder: 'skip',
    resampleFilter: [1, 2, 1],
  });
});

test('the published ADM for ImageNet', () => {
  const kwargs = { img_resolution: 64, img_channels: 3, label_dim: 1000, use_fp16: true, dropout: 0.1, augment_dim: 0 };
  const network = { model_type: 'DhariwalUNet', model_channels: 192, channel_mult: [1, 2, 3, 4] };
  expect(networkConfigFromPyTorch('EDMPrecond', { ...kwargs, ...network })).toEqual(adm);
  // It is also what these preconditioners wrap unless told otherwise; iDDPM's has a variance for each number.
  expect(networkConfigFromPyTorch('EDMPrecond', kwargs)).toEqual(adm);
  const iddpm = networkConfigFromPyTorch('iDDPMPrecond', { ...kwargs, C_1: 0.001, C_2: 0.008, M: 1000 });
  expect(iddpm).toEqual({ ...adm, outChannels: 6 });
});

test('every argument of ADM arrives', () => {
  const config = networkConfigFromPyTorch('EDMPrecond', {
    img_resolution: 16,
    img_channels: 4,
    label_dim: 7,
    augment_dim: 5,
    model_channels: 24,
    channel_mult: [1, 3],
    channel_mult_emb: 2,
    num_blocks: 1,
    attn_resolutions: [8],
    dropout: 0.25,
    label_dropout: 0.5,
  });
  expect(config).toEqual({
    kind: 'dhariwal-unet',
    resolution: 16,
    channels: 4,
    outChannels: 4,
    labelDim: 7,
    augmentDim: 5,
    modelChannels: 24,
    channelMult: [1, 3],
    channelMultEmbedding: 2,
    blocks: 1,
    attentionResolutions: [8],
    dropout: 0.25,
    labelDropout: 0.5,
  });
});

const songUNet = { ...interfaceKwargs, model_type: 'SongUNet' };
test('a SongUNet inside iDDPMPrecond has twice as many channels out as in', () => {
  const config = networkConfigFromPyTorch('iDDPMPrecond', songUNet) as SongUNetConfig;
  expect(config.outChannels).toBe(2 * config.channels);
  // Of its last convolution, as PyTorch's state dict has it; the configuration is found again from the shapes.
  const table = parameterTable((source) => buildNetwork(source, config));
  const last = table.specs.find(({ name }) => name === 'dec.32x32_aux_conv.weight');
  expect(last?.shape).toEqual([6, config.modelChannels * config.channelMult[0], 3, 3]);
  const zeros = (shape: readonly number[]): NamedTensor => ({
    dtype: 'F32',
    shape,
    data: new Float32Array(sizeOf(shape)),
  });
  const state = new Map([
    ...table.specs.map(({ name, shape }) => [name, zeros(shape)] as const),
    ...[...filtersForPyTorch(config)].map(([name, { shape, data }]) => [name, { ...zeros(shape), data }] as const),
  ]);
  expect(networkConfigFromState(state)).toMatchObject({ kind: 'song-unet', channels: 3, outChannels: 6 });
});

test.each<[constructor: string, kwargs: Record<string, unknown>, message: RegExp]>([
  ['NewPrecond', songUNet, /preconditioner "NewPrecond" is not known.*EDMPrecond/],
  ['constructor', songUNet, /preconditioner "constructor" is not known/],
  [
    'EDMPrecond',
    { ...songUNet, model_type: 'NewUNet' },
    /network "NewUNet" is not known. Known are: SongUNet, DhariwalUNet/,
  ],
  ['EDMPrecond', { ...songUNet, spectral_norm: true }, /argument "spectral_norm" is not known.*resample_filter/],
  ['EDMPrecond', { ...songUNet, beta_d: 19.9 }, /argument "beta_d" is not known/],
  [
    'EDMPrecond',
    { ...songUNet, model_channels: '128' },
    /"model_channels" must be an integer of at least 0, got "128"/,
  ],
  ['EDMPrecond', { ...songUNet, channel_mult: 2 }, /"channel_mult" must be a list of integers of at least 0, got 2/],
  ['EDMPrecond', { ...songUNet, encoder_type: 'dense' }, /must be one of standard, skip, residual, got "dense"/],
  ['EDMPrecond', { model_type: 'SongUNet', img_channels: 3 }, /"img_resolution" must be .*, got nothing/],
  [
    'EDMPrecond',
    { ...interfaceKwargs, resample_filter: [1, 1] },
    /DhariwalUNet: the argument "resample_filter" is not known/,
  ],
])('%s %j is refused', (constructor, kwargs, message) => {
  const convert = () => networkConfigFromPyTorch(constructor, kwargs);
  expect(convert).toThrow(UsageError);
  expect(convert).toThrow(message);
});
