import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { encodeNpz } from '../../src/formats/npy.ts';
import { decodePng } from '../../src/formats/png.ts';
import { constant, input, matmul, reshape, toOnnxForAnyBatch } from '../../src/graph/index.ts';
import { featureStatistics, frechetDistance } from '../../src/metrics/index.ts';
import { readStatisticsFile } from '../../src/node/evaluation/statistics-file.ts';
import { testValues } from '../support/random.ts';
import { png } from '../node/dataset/support.ts';
import { stf, temporaryFolder, tinyRun } from './support.ts';
import type { Outcome } from './support.ts';

/*
 * The command over a feature extractor of six numbers, so that all of it is quick; with Inception it runs in
 * evaluate-inception.test.ts.
 */
const side = 8;
const dimension = 6;
const folder = temporaryFolder();
let model = '';

/** Features that are products of the pixels with fixed numbers, of images of 8 x 8. */
const weights = Float32Array.from(testValues(3 * side * side * dimension, [-1, 1], 3));
const extractor = (): Uint8Array =>
  toOnnxForAnyBatch(
    (batch) => ({
      features: matmul(
        reshape(input('images', [batch, 3, side, side]), [batch, 3 * side * side]),
        constant(weights, [3 * side * side, dimension]),
      ),
    }),
    { name: 'features', weights: new Map(), metadata: {} },
  );

function put(name: string, bytes: Uint8Array | string): string {
  const path = folder.join(name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

/** A folder of pictures, another `salt` for each. */
function pictures(name: string, count: number, salt = 0): string {
  for (let i = 0; i < count; i++)
    put(join(name, `${String(i).padStart(3, '0')}.png`), png(side, side, { salt: salt + i * i }));
  return folder.join(name);
}

beforeEach(() => {
  vi.stubEnv('STF_CACHE', folder.join('cache'));
  model = put('tiny.onnx', extractor());
});

const evaluate = (...argv: string[]): Promise<Outcome> =>
  stf(['evaluate', ...argv, '--features', model, '--threads', '1']);

interface Report {
  rows: { numbers: Record<string, number>; count: number; seeds?: string; kimg?: number }[];
  summaries: { numbers: Record<string, { minimum: number; mean: number; standardDeviation: number }> }[];
  extractor: Record<string, unknown>;
  warnings: string[];
  paper: string;
}
const reportIn = ({ stdout, code, stderr }: Outcome): Report => {
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return JSON.parse(stdout) as Report;
};

/** The features by hand: 2 u / 255 - 1 times the numbers above, the resizer leaving images of this size alone. */
function featuresByHand(path: string): Float64Array {
  const names = readdirSync(path).sort();
  const features = new Float64Array(names.length * dimension);
  names.forEach((name, row) => {
    const { data } = decodePng(readFileSync(join(path, name)));
    for (let place = 0; place < side * side; place++)
      for (let c = 0; c < 3; c++)
        for (let k = 0; k < dimension; k++)
          features[row * dimension + k] +=
            ((2 * data[3 * place + c]) / 255 - 1) * weights[(c * side * side + place) * dimension + k];
  });
  return features;
}

describe('images', () => {
  test('the Fréchet distance is that of the features, and is not called FID', async () => {
    const [samples, data] = [pictures('samples', 20), pictures('data', 30, 7)];
    const report = reportIn(await evaluate(samples, '--ref', data, '--json', '-'));
    const [a, b] = [samples, data].map((path) => featureStatistics(featuresByHand(path), dimension));
    // The extractor works in float32: 200 roundings of products, in a distance of the size of the variances.
    const { distance } = frechetDistance(a, b);
    expect(report.rows[0].numbers.frechetDistance / distance).toBeCloseTo(1, 5);
    expect(report.rows[0].numbers).not.toHaveProperty('fid');
    expect(report.extractor).toMatchObject({ name: 'features of tiny.onnx', isInception: false, dimension });
    expect(report.paper).toMatch(/^Frechet distance .*features of tiny\.onnx, sha256 [0-9a-f]{16}/);
    const { stdout } = await evaluate(samples, '--ref', data);
    expect(stdout).toContain('Frechet distance');
    expect(stdout).not.toMatch(/\bFID\b|\bKID\b/);
  });

  test('a set against itself: 0, and everything is inside', async () => {
    const data = pictures('data', 20);
    const metrics = 'fid,kid,pr,dc,memorization';
    const out = folder.join('out');
    const report = reportIn(await evaluate(data, '--ref', data, '--metrics', metrics, '--outdir', out, '--json', '-'));
    const { numbers } = report.rows[0];
    // Rounding in the trace: 1e-16 of variances of some hundreds.
    expect(Math.abs(numbers.frechetDistance)).toBeLessThan(1e-6);
    expect(numbers).toMatchObject({ precision: 1, recall: 1, coverage: 1, copies: 1, nearestMin: 0 });
    const picture = decodePng(readFileSync(join(out, 'nearest-images.png')));
    // 40 images of 8 pixels, doubled, eight in a row with gaps of 2.
    expect([picture.width, picture.height]).toEqual([8 * 18 - 2, 5 * 18 - 2]);
  });

  test('features are kept: a second metric costs nothing, and what is damaged is computed again', async () => {
    const [samples, data] = [pictures('samples', 20), pictures('data', 30, 7)];
    const first = await evaluate(samples, '--ref', data, '--metrics', 'fid', '--json', '-');
    expect(first.stderr).not.toContain('from the cache');
    const second = await evaluate(samples, '--ref', data, '--metrics', 'fid,pr', '--json', '-');
    expect(second.stderr).toMatch(/features of 20 images, 20 of them from the cache/);
    expect(reportIn(second).rows[0].numbers.frechetDistance).toBe(reportIn(first).rows[0].numbers.frechetDistance);

    const kept = folder.list().filter((name) => /features.*\.safetensors$/.test(name));
    expect(kept).toHaveLength(2);
    for (const [i, name] of kept.entries()) {
      const bytes = readFileSync(folder.join(name));
      // One is cut off, of the other a value is changed.
      if (i === 1) bytes[bytes.length - 2] ^= 1;
      writeFileSync(folder.join(name), i === 0 ? bytes.subarray(0, 300) : bytes);
    }
    const third = await evaluate(samples, '--ref', data, '--metrics', 'fid', '--json', '-');
    expect(third.stderr.match(/these features are computed again/g)).toHaveLength(2);
    expect(reportIn(third).rows[0].numbers).toEqual(reportIn(first).rows[0].numbers);

    const before = kept.map((name) => statSync(folder.join(name)).mtimeMs);
    const none = await evaluate(samples, '--ref', data, '--metrics', 'fid', '--no-cache', '--json', '-');
    expect(none.stderr).not.toContain('from the cache');
    expect(kept.map((name) => statSync(folder.join(name)).mtimeMs)).toEqual(before);
  });

  test('the record has a hash of the pixels: the same in a folder and in an archive elsewhere', async () => {
    const data = pictures('data', 30, 7);
    const archive = put(
      'elsewhere/copy.zip',
      zipSync(Object.fromEntries(readdirSync(data).map((name) => [name, readFileSync(join(data, name))]))),
    );
    // By hand, after docs/evaluation.md.
    const sha256 = (of: string | Uint8Array): string => createHash('sha256').update(of).digest('hex');
    const planes = readdirSync(data)
      .sort()
      .flatMap((name) => {
        const pixels = decodePng(readFileSync(join(data, name))).data;
        return [0, 1, 2].flatMap((c) => [...pixels.filter((_, i) => i % 3 === c)]);
      });
    const expected = sha256(`3,${side},${side}\n${sha256(Uint8Array.from(planes))}`);
    for (const path of [data, archive]) {
      const report = reportIn(await evaluate(path, '--ref', path, '--metrics', 'fid', '--json', '-'));
      const origin = { path, pixelsSha256: expected };
      expect(report).toMatchObject({ rows: [{ origin }], reference: { origin } });
      const memorization = reportIn(await evaluate(path, '--ref', path, '--metrics', 'memorization', '--json', '-'));
      expect(memorization).toMatchObject({ reference: { origin } });
    }
    put('data/003.png', png(side, side, { salt: 99 }));
    const changed = reportIn(await evaluate(data, '--ref', archive, '--metrics', 'fid', '--json', '-'));
    expect(changed.rows[0]).not.toMatchObject({ origin: { pixelsSha256: expected } });
  });

  test('one changed pixel is another set', async () => {
    const data = pictures('data', 30, 7);
    const of = async (): Promise<number> =>
      reportIn(await evaluate(folder.join('samples'), '--ref', data, '--metrics', 'fid', '--json', '-')).rows[0].numbers
        .frechetDistance;
    pictures('samples', 20);
    const before = await of();
    put('samples/003.png', png(side, side, { salt: 99 }));
    expect(await of()).not.toBe(before);
  });

  test('batches of 1, 7 and 64 give the same digits, and so does the same call again', async () => {
    const [samples, data] = [pictures('samples', 20), pictures('data', 30, 7)];
    const all: Record<string, number>[] = [];
    for (const batch of ['1', '7', '64', '64'])
      all.push(
        reportIn(await evaluate(samples, '--ref', data, '--batch', batch, '--no-cache', '--json', '-')).rows[0].numbers,
      );
    for (const numbers of all)
      for (const [name, value] of Object.entries(numbers)) expect(value / all[0][name]).toBeCloseTo(1, 6);
    expect(all[3]).toEqual(all[2]);
  });

  test('statistics: written, read, and refused for another extractor', async () => {
    const [samples, data, file] = [pictures('samples', 20), pictures('data', 30, 7), folder.join('data.npz')];
    const made = await stf(['reference', data, '--dest', file, '--features', model, '--threads', '1']);
    expect(made).toMatchObject({ code: 0 });
    expect((await readStatisticsFile(file))!.n).toBe(30);
    const direct = reportIn(await evaluate(samples, '--ref', data, '--metrics', 'fid', '--json', '-'));
    const report = reportIn(await evaluate(samples, '--ref', file, '--json', '-'));
    expect(report.rows[0].numbers.frechetDistance).toBe(direct.rows[0].numbers.frechetDistance);

    weights[0] += 1;
    try {
      put('tiny.onnx', extractor());
    } finally {
      weights[0] -= 1;
    }
    const { code, stderr } = await evaluate(samples, '--ref', file);
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('their distance means nothing') as string,
    });
  });

  test('statistics of another program have mu and sigma alone, which is told', async () => {
    const samples = pictures('samples', 20);
    const sigma = Float64Array.from({ length: dimension ** 2 }, (_, i) => Number(i % (dimension + 1) === 0));
    const mu = new Float64Array(dimension);
    const file = put(
      'edm.npz',
      encodeNpz({ mu: { shape: [dimension], data: mu }, sigma: { shape: [dimension, dimension], data: sigma } }),
    );
    const report = reportIn(await evaluate(samples, '--ref', file, '--json', '-'));
    const own = featureStatistics(featuresByHand(samples), dimension);
    expect(report.rows[0].numbers.frechetDistance / frechetDistance(own, { mu, sigma }).distance).toBeCloseTo(1, 5);
    expect(report.warnings.join(' ')).toContain('does not say of which images');
  });

  test('grey images are repeated as colours, and that is told', async () => {
    for (let i = 0; i < 5; i++) put(`grey/${i}.png`, png(side, side, { channels: 1, salt: i * i }));
    const report = reportIn(
      await evaluate(folder.join('grey'), '--ref', pictures('data', 9), '--metrics', 'fid', '--json', '-'),
    );
    expect(report.warnings.join(' ')).toContain('has grey images');
    expect(report.warnings.join(' ')).toContain('5 images of');
    expect(report.warnings.join(' ')).toContain('fewer than 2,048');
  });

  test.each<[what: string, spoil: () => void, message: RegExp]>([
    [
      'cut off',
      () => void put('samples/004.png', png(side, side).subarray(0, 60)),
      /samples\/004\.png: truncated or damaged/,
    ],
    [
      'of another size',
      () => void put('samples/004.png', png(9, side)),
      /samples\/004\.png: 9 x 8 pixels, and the first image has 8 x 8/,
    ],
    [
      'grey among colours',
      () => void put('samples/004.png', png(side, side, { channels: 1 })),
      /samples\/004\.png: grey, and the first/,
    ],
    ['RGBA', () => void put('samples/004.png', png(side, side, { channels: 4 })), /samples\/004\.png: RGBA/],
    ['no picture', () => void put('samples/000.png', 'hello'), /samples\/000\.png: /],
  ])('an image that is %s is named', async (_, spoil, message) => {
    const [samples, data] = [pictures('samples', 20), pictures('data', 30, 7)];
    spoil();
    const { code, stdout, stderr } = await evaluate(samples, '--ref', data, '--json', folder.join('out.json'));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(folder.list()).not.toContain('out.json');
    // The reference's features are kept; nothing of the samples is.
    expect(folder.list().filter((name) => /features.*\.safetensors$/.test(name)).length).toBeLessThanOrEqual(1);
  });

  test.each<[argv: string[], message: RegExp]>([
    [['empty', '--ref', 'data'], /empty has no pictures in it/],
    [['nowhere', '--ref', 'data'], /there is no file, folder or data set .*nowhere/],
    [['data'], /--ref is missing: what are the images to be compared with\?/],
    [
      ['data', '--ref', 'data', '--metrics', 'fid,best'],
      /--metrics: unknown value "best"\. Choose some of: fid, is, kid/,
    ],
    [['data', '--ref', 'data', '--metrics', 'is'], /--metrics is: the Inception Score is that of Inception/],
    [['data', '--ref', 'data', '--metrics', 'mmd'], /--metrics mmd is of points/],
    [['data', '--ref', 'data', '--samples', '3', '--metrics', 'pr'], /pr needs at least 4 images, and .*data has 3\./],
    [
      ['data', '--ref', 'data', '--ref-samples', '5', '--metrics', 'dc'],
      /dc needs at least 6 images, and .*data has 5\./,
    ],
    [['data', '--ref', 'data', '--weights', 'w.pth'], /--weights are those of Inception, and --features takes another/],
    [['data', '--ref', 'data', '--samples', '99'], /data has 9 images, fewer than the 99 asked for/],
    [['data', '--ref', 'data', '--seeds', '0-9'], /--seeds is for networks/],
    [['data', '--ref', 'data', '--steps', '9'], /--sampler is for networks/],
    [['data', '--ref', 'points.npz'], /points\.npz has no arrays mu and sigma/],
    [['data', '--ref', 'bad.npz'], /bad\.npz/],
    [['data', '--ref', 'negative.npz'], /negative\.npz: sigma is no covariance: it is not positive semi-definite/],
    [['data', '--ref', 'skew.npz'], /skew\.npz: sigma is no covariance: element \(0, 1\) is 0.5, and \(1, 0\) is 0/],
    [['data', '--ref', 'data', '--json', 'gone/x.json'], /--json gone\/x\.json: there is no folder gone\./],
    [['net.pkl', '--ref', 'data'], /is a file of PyTorch\. Turn it into a checkpoint first/],
  ])('%j is refused', async (argv, message) => {
    pictures('data', 9);
    mkdirSync(folder.join('empty'));
    put('points.npz', encodeNpz({ x: { shape: [2], data: new Float64Array(2) } }));
    put('bad.npz', 'no archive');
    const statistics = (sigma: number[]) =>
      encodeNpz({
        mu: { shape: [2], data: new Float64Array(2) },
        sigma: { shape: [2, 2], data: Float64Array.from(sigma) },
      });
    put('negative.npz', statistics([1, 2, 2, 1]));
    put('skew.npz', statistics([1, 0.5, 0, 1]));
    put('net.pkl', 'x');
    const paths = argv.map((word) =>
      /^(empty|nowhere|data|w\.pth|.*\.npz|net\.pkl)$/.test(word) ? folder.join(word) : word,
    );
    const { code, stdout, stderr } = await evaluate(...paths);
    expect(stderr).toMatch(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  test('an ONNX file that is no feature extractor is refused by name', async () => {
    const data = pictures('data', 9);
    put('tiny.onnx', 'no model');
    expect((await evaluate(data, '--ref', data)).stderr).toMatch(/ONNX Runtime refused .*tiny\.onnx/);
    const two = toOnnxForAnyBatch((batch) => ({ y: input('x', [batch, 5]) }), {
      name: 'other',
      weights: new Map(),
      metadata: {},
    });
    put('tiny.onnx', two);
    expect((await evaluate(data, '--ref', data)).stderr).toMatch(
      /has one input of images \[N, 3, H, W\].*This one has "x" float32/,
    );
  });

  test('an interrupted evaluation goes on from the features that it has', async () => {
    const [samples, data] = [pictures('samples', 20), pictures('data', 30, 7)];
    const argv = ['evaluate', samples, '--ref', data, '--features', model, '--threads', '1', '--json', '-'];
    const stopped = await stf(argv, (text, interrupt) => void (text.includes('features of 30 images') && interrupt()));
    expect(stopped).toMatchObject({
      code: 130,
      stdout: '',
      stderr: expect.stringContaining('features so far are kept') as string,
    });
    const { stderr } = await stf(argv);
    expect(stderr).toMatch(/30 of them from the cache/);
  });
});

describe('networks', () => {
  const snapshot = join(import.meta.dirname, '../fixtures/parity/pickles/ncsnpp/network-snapshot-000001.pkl');

  test('draws samples, range by range, once', async () => {
    const network = folder.join('net.safetensors');
    expect(await stf(['import', snapshot, '--out', network])).toMatchObject({ code: 0 });
    const data = pictures('data', 9);
    const argv = [
      network,
      '--ref',
      data,
      '--samples',
      '6',
      '--repeats',
      '2',
      '--steps',
      '2',
      '--batch',
      '3',
      '--metrics',
      'fid',
      '--json',
      '-',
    ];
    const report = reportIn(await evaluate(...argv));
    expect(report.rows.map(({ seeds, count, kimg }) => ({ seeds, count, kimg }))).toEqual([
      { seeds: '0-5', count: 6, kimg: 1 },
      { seeds: '6-11', count: 6, kimg: 1 },
    ]);
    const values = report.rows.map(({ numbers }) => numbers.frechetDistance);
    const { minimum, mean, standardDeviation } = report.summaries[0].numbers.frechetDistance;
    expect([minimum, mean]).toEqual([Math.min(...values), (values[0] + values[1]) / 2]);
    expect(standardDeviation).toBeCloseTo(Math.abs(values[0] - values[1]) / Math.SQRT2, 9);
    expect(report.paper).toMatch(/minimum of 2 x 6 samples.*3 network evaluations a sample/);

    // Features out of the cache give the same record to the last byte, though nothing is drawn.
    const again = await evaluate(...argv);
    expect(again.stderr.match(/6 of them from the cache/g)).toHaveLength(2);
    expect(reportIn(again)).toEqual(report);

    // The samples that stf sample draws give the same number.
    const drawn = ['--seeds', '0-5', '--steps', '2', '--batch', '3', '--threads', '1'];
    expect(await stf(['sample', '--network', network, '--outdir', folder.join('drawn'), ...drawn])).toMatchObject({
      code: 0,
    });
    const grid = folder.join('drawn', 'grid.png');
    writeFileSync(folder.join('grid.txt'), readFileSync(grid));
    const moved = folder.join('only');
    mkdirSync(moved);
    for (let seed = 0; seed < 6; seed++)
      writeFileSync(
        join(moved, `${seed}.png`),
        readFileSync(folder.join('drawn', `${String(seed).padStart(6, '0')}.png`)),
      );
    const ofFiles = reportIn(await evaluate(moved, '--ref', data, '--metrics', 'fid', '--json', '-'));
    expect(ofFiles.rows[0].numbers.frechetDistance).toBe(values[0]);

    // Adding a metric draws nothing anew.
    const more = await evaluate(...argv.map((word) => (word === 'fid' ? 'fid,kid' : word)));
    expect(more.stderr.match(/6 of them from the cache/g)).toHaveLength(2);
    expect(reportIn(more).rows.map(({ numbers }) => numbers.frechetDistance)).toEqual(values);
  });

  test('seeds that are no range are in the record, all of them', async () => {
    expect((await stf([...tinyRun, '--outdir', folder.join('runs')])).code).toBe(0);
    const run = folder.join('runs', '00000-eight-gaussians-uncond-mlp-edm-stf128-batch64-fp32');
    const seeds = '0,2,4,6,8,10';
    const report = reportIn(
      await stf(['evaluate', run, '--seeds', seeds, '--ref-samples', '20', '--threads', '1', '--json', '-']),
    );
    expect(report.rows[0]).toMatchObject({ seeds: '0,2,4,6,...', origin: { seeds } });
  });

  test('of many points the first 10,000 are compared, unless more are asked for; more than there are is refused', async () => {
    const rows = Array.from({ length: 10_001 }, (_, i) => `${i % 17},${i % 23}`);
    const many = put('many.csv', `x,y\n${rows.join('\n')}\n`);
    const argv = ['evaluate', many, '--ref', many, '--metrics', 'swd', '--threads', '1'];
    const byDefault = await stf([...argv, '--json', '-']);
    expect(byDefault.stderr).toContain('the first 10,000 of 10,001 points');
    expect(reportIn(byDefault)).toMatchObject({ rows: [{ count: 10_000 }], reference: { count: 10_000 } });
    const all = reportIn(await stf([...argv, '--samples', '10001', '--json', '-']));
    expect(all.rows[0].count).toBe(10_001);
    expect(await stf([...argv, '--ref-samples', '10002'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('has 10001 points, fewer than the 10002 asked for') as string,
    });
  });

  test('points: every snapshot of a run, and the curve', async () => {
    expect((await stf([...tinyRun, '--outdir', folder.join('runs')])).code).toBe(0);
    const run = folder.join('runs', '00000-eight-gaussians-uncond-mlp-edm-stf128-batch64-fp32');
    const argv = ['evaluate', run, '--samples', '200', '--ref-samples', '300', '--threads', '1'];
    const outdir = folder.join('curve');
    const report = reportIn(await stf([...argv, '--snapshots', 'all', '--outdir', outdir, '--json', '-']));
    expect(report.rows.length).toBeGreaterThan(1);
    expect(readdirSync(outdir)).toEqual(
      ['mmd', 'swd'].flatMap((name) => ['png', 'svg'].map((kind) => `${name}-over-training.${kind}`)),
    );
    const left = (): Report[] =>
      readdirSync(run)
        .filter((name) => /^evaluation-[0-9a-f]{12}\.json$/.test(name))
        .map((name) => JSON.parse(readFileSync(join(run, name), 'utf8')) as Report);
    expect(left()).toEqual([report]);
    const newest = reportIn(await stf([...argv, '--json', '-']));
    expect(newest.rows[0].numbers).toEqual(report.rows.at(-1)!.numbers);
    expect(left().length).toBe(2);
    // The same numbers again are no further report.
    expect((await stf(argv)).stderr).toContain('For stf serve: ');
    expect(left().length).toBe(2);
    expect(await stf([...argv, '--snapshots', '7'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('has no checkpoint-000007.safetensors. It has: checkpoint-') as string,
    });
    expect((await stf([...argv, '--metrics', 'fid'])).stderr).toContain('--metrics fid is of images');
  });
});
