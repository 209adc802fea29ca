import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { adm, buildNetwork, ddpmpp, mlp, ncsnpp, songUNet } from '../../src/networks/index.ts';
import type { MlpConfig, NetworkConfig, SongUNetConfig } from '../../src/networks/index.ts';
import { parameterTable } from '../../src/nn/index.ts';

const tableOf = (config: SongUNetConfig) => parameterTable((source) => songUNet(source, config));

/**
 * Parameters of a SongUNet, counted layer by layer from the description of the architecture (Karras et al. 2022,
 * appendix F.3 and Table 7), with nothing of the code under test.
 */
function countByHand({
  resolution,
  channels: colours,
  modelChannels,
  channelMult,
  blocks,
  attentionResolutions,
  labelDim,
  augmentDim,
  channelMultNoise,
  encoder,
}: SongUNetConfig): number {
  const linear = (from: number, to: number): number => from * to + to;
  const conv = (from: number, to: number, kernel: number): number => from * to * kernel ** 2 + to;
  const norm = (channels: number): number => 2 * channels;
  const embedding = 4 * modelChannels;
  const block = (from: number, to: number, { resamples = false, attends = false } = {}): number =>
    norm(from) +
    conv(from, to, 3) +
    linear(embedding, to) +
    norm(to) +
    conv(to, to, 3) +
    (from !== to || resamples ? conv(from, to, 1) : 0) +
    (attends ? norm(to) + conv(to, 3 * to, 1) + conv(to, to, 1) : 0);

  const noise = modelChannels * channelMultNoise;
  let total = linear(noise, embedding) + linear(embedding, embedding) + augmentDim * noise;
  if (labelDim > 0) total += linear(labelDim, noise);
  total += conv(colours, modelChannels, 3);
  const skips = [modelChannels];
  let width = modelChannels;
  let residualWidth = colours;
  channelMult.forEach((mult, level) => {
    if (level > 0) {
      total += block(width, width, { resamples: true });
      skips.push(width);
      if (encoder === 'residual') {
        total += conv(residualWidth, width, 3);
        residualWidth = width;
      }
    }
    for (let i = 0; i < blocks; i++) {
      total += block(width, mult * modelChannels, { attends: attentionResolutions.includes(resolution >> level) });
      width = mult * modelChannels;
      skips.push(width);
    }
  });
  total += block(width, width, { attends: true }) + block(width, width);
  for (let level = channelMult.length - 1; level >= 0; level--) {
    if (level < channelMult.length - 1) total += block(width, width, { resamples: true });
    for (let i = 0; i <= blocks; i++) {
      const attends = i === blocks && attentionResolutions.includes(resolution >> level);
      total += block(width + skips.pop()!, channelMult[level] * modelChannels, { attends });
      width = channelMult[level] * modelChannels;
    }
  }
  return total + norm(width) + conv(width, colours, 3);
}

describe('SongUNet', () => {
  test('DDPM++ for CIFAR-10 has 55.7 million parameters, as published', () => {
    // The exact numbers are sums over the layers that the reference makes, worked out by hand as below.
    expect(tableOf(ddpmpp).trained).toBe(55_732_739);
    expect(tableOf({ ...ddpmpp, augmentDim: 9 }).trained).toBe(55_733_891);
    expect(tableOf({ ...ddpmpp, augmentDim: 9, labelDim: 10 }).trained).toBe(55_735_299);
  });

  test('NCSN++ for CIFAR-10 has 56.4 million, and 128 fixed frequencies', () => {
    const table = tableOf(ncsnpp);
    expect(table.trained).toBe(56_395_523);
    expect(table.size - table.trained).toBe(128);
  });

  test.each([
    ['ddpmpp', ddpmpp],
    ['with labels', { ...ddpmpp, augmentDim: 9, labelDim: 10 }],
    ['ncsnpp', ncsnpp],
    [
      'small',
      { ...ddpmpp, resolution: 16, modelChannels: 8, channelMult: [1, 2, 2], blocks: 1, attentionResolutions: [8] },
    ],
    ['one level', { ...ddpmpp, channelMult: [3], modelChannels: 4, blocks: 2, attentionResolutions: [] }],
  ] as [string, SongUNetConfig][])('%s: as counted by hand', (_, config) => {
    expect(tableOf(config).trained).toBe(countByHand(config));
  });

  test('parameters carry the names of the reference, in its order', () => {
    const names = tableOf({ ...ddpmpp, labelDim: 10, augmentDim: 9 }).specs.map(({ name }) => name);
    expect(names.slice(0, 9)).toEqual([
      'map_label.weight',
      'map_label.bias',
      'map_augment.weight',
      'map_layer0.weight',
      'map_layer0.bias',
      'map_layer1.weight',
      'map_layer1.bias',
      'enc.32x32_conv.weight',
      'enc.32x32_conv.bias',
    ]);
    expect(names.filter((name) => name.startsWith('enc.16x16_block0.'))).toEqual(
      ['norm0', 'conv0', 'affine', 'norm1', 'conv1', 'norm2', 'qkv', 'proj'].flatMap((part) => [
        `enc.16x16_block0.${part}.weight`,
        `enc.16x16_block0.${part}.bias`,
      ]),
    );
    expect(names.slice(-4)).toEqual([
      'dec.32x32_aux_norm.weight',
      'dec.32x32_aux_norm.bias',
      'dec.32x32_aux_conv.weight',
      'dec.32x32_aux_conv.bias',
    ]);
  });

  test('a resolution that does not halve often enough is refused', () => {
    expect(() => tableOf({ ...ddpmpp, resolution: 30 })).toThrow(UsageError);
    expect(() => tableOf({ ...ddpmpp, resolution: 30 })).toThrow(
      'resolution must be divisible by 4 for 3 levels, got 30',
    );
    expect(() => tableOf({ ...ddpmpp, resolution: 31, channelMult: [1] })).not.toThrow();
  });
});

test('MLP: the parameters of its layers', () => {
  const config: MlpConfig = {
    kind: 'mlp',
    sampleShape: [5, 3],
    width: 16,
    blocks: 2,
    labelDim: 4,
    labelDropout: 0,
    dropout: 0,
  };
  const square = 16 * 16 + 16;
  const count = 4 * 16 + 16 + 2 * square + (15 * 16 + 16) + 2 * 3 * square + (16 * 15 + 15);
  expect(parameterTable((source) => mlp(source, config)).trained).toBe(count);
  expect(parameterTable((source) => mlp(source, { ...config, labelDim: 0 })).trained).toBe(count - (4 * 16 + 16));
});

/** The networks that Karras et al. 2022 published, as their options for training say. */
const at64 = { resolution: 64, channelMult: [1, 2, 2, 2], augmentDim: 9 };
const published: Record<string, NetworkConfig> = {
  'CIFAR-10, DDPM++': { ...ddpmpp, augmentDim: 9 },
  'CIFAR-10, DDPM++, with classes': { ...ddpmpp, augmentDim: 9, labelDim: 10 },
  'CIFAR-10, NCSN++': { ...ncsnpp, augmentDim: 9 },
  'CIFAR-10, NCSN++, with classes': { ...ncsnpp, augmentDim: 9, labelDim: 10 },
  'FFHQ and AFHQv2, DDPM++': { ...ddpmpp, ...at64 },
  'FFHQ and AFHQv2, NCSN++': { ...ncsnpp, ...at64 },
  'ImageNet, ADM, with classes': adm,
};

describe('the published networks have the sizes that docs/networks.md tells', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/networks.md'), 'utf8');
  const told = new Map(
    [...page.matchAll(/^\| (\S[^|]*?) *\|.*\| *([\d,]+) *\|$/gm)].map(([, name, count]) => [
      name,
      Number(count.replaceAll(',', '')),
    ]),
  );

  test('and no others', () => {
    expect([...told.keys()]).toEqual(Object.keys(published));
  });

  test.each(Object.keys(published))('%s', (name) => {
    const config = published[name];
    const { trained } = parameterTable((source) => buildNetwork(source, config));
    expect(trained).toBe(told.get(name));
    if (config.kind === 'song-unet') expect(trained).toBe(countByHand(config));
  });
});
