import { beforeEach, describe, expect, test } from 'vitest';
import { StfError } from '../../src/errors.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { alternate, fastestTwin, ratioOf, requireAgreement } from '../../bench/compare.ts';
import { networkDefaults, networkFrom } from '../../bench/networks.ts';
import { findPython } from '../../bench/peers/python.ts';
import type { Twin } from '../../bench/peers/twin.ts';
import { prepareSampling, relativeDifference, sampleBench } from '../../bench/sample.ts';
import { makeSubject, twinsOf } from '../../bench/subject.ts';
import type { Subject } from '../../bench/subject.ts';
import { compareSteps, prepareTraining, trainStepBench } from '../../bench/train-step.ts';
import { viewsOf } from '../../src/nn/index.ts';

const search = findPython();
const whyNot = 'why' in search ? search.why : undefined;
const runtime = nodeRuntime({ threads: 1 });
const batch = 3;

/** Two levels of 16 × 16 and 8 × 8 pixels; an ADM attends from 64 channels on. */
const tiny = (arch: string): Subject =>
  makeSubject(
    networkFrom({ arch, cbase: arch === 'adm' ? 32 : 16, cres: [1, 2], blocks: 1, attn: [8], resolution: 16 }),
  );

/** Does something with the twin of a network and ends it. */
async function withTwin<T>(subject: Subject, layout: Twin['layout'], use: (twin: Twin) => Promise<T>): Promise<T> {
  if (!('python' in search)) throw new Error(search.why);
  const twins = await twinsOf(subject, { python: search.python, threads: 1, waiting: 'passive' });
  try {
    const twin = await twins.start(layout);
    try {
      return await use(twin);
    } finally {
      await twin.close();
    }
  } finally {
    await twins.close();
  }
}

describe('the PyTorch twin', () => {
  beforeEach(({ skip }) => skip(whyNot !== undefined, whyNot));

  test.each([
    ['ddpmpp', 'contiguous', 0],
    ['ddpmpp', 'channels_last', 8],
    ['ncsnpp', 'contiguous', 8],
    ['ncsnpp', 'channels_last', 0],
    ['adm', 'contiguous', 0],
    ['adm', 'channels_last', 8],
  ] as const)('trains %s, %s, with %i references, as ours does', async (arch, layout, reference) => {
    const subject = tiny(arch);
    const ours = await prepareTraining(runtime, subject, { batch, reference });
    try {
      await withTwin(subject, layout, async (twin) => {
        expect(twin.engine).toMatchObject({ threads: 1, parameters: subject.table.trained });
        await twin.prepareTraining(ours.forTwin);
        for (let step = 1; step <= 2; step++) {
          const [own, theirs] = [await ours.checkedStep(), await twin.checkedStep()];
          // Sums of some thousand float32 products in another order: 1e-7 of the loss is seen, and 3e-6 of the gradient
          // for SongUNet, 2e-5 for ADM with its four times as many parameters, whose squares ours adds up in float32.
          expect(Math.abs(theirs.loss / own.loss - 1), `loss of step ${step}`).toBeLessThan(1e-6);
          expect(Math.abs(theirs.gradientNorm / own.gradientNorm - 1), `gradient of step ${step}`).toBeLessThan(1e-4);
        }
        const [before, average] = [viewsOf(subject.table, subject.weights()), await twin.average()];
        const own = viewsOf(subject.table, (await ours.compiled.state.read('ema')) as Float32Array);
        let [difference, moved] = [0, 0];
        for (const [name, { data }] of own) {
          const theirs = average.get(name)!.data as Float32Array;
          data.forEach((value, i) => {
            difference += (value - theirs[i]) ** 2;
            moved += (value - before.get(name)!.data[i]) ** 2;
          });
        }
        // Adam's first steps have the length of the learning rate and the sign of the gradient, also where the gradient
        // is rounding, as for biases of keys in attention: 1 % of the way is seen. A wrong Adam is off by all of it.
        expect(moved).toBeGreaterThan(0);
        expect(Math.sqrt(difference / moved)).toBeLessThan(0.05);
      });
    } finally {
      await ours.compiled.release();
    }
  });

  test.each(['ddpmpp', 'ncsnpp', 'adm'])('draws the samples of %s that ours draws', async (arch) => {
    const subject = tiny(arch);
    const ours = await prepareSampling(runtime, subject, batch);
    try {
      await withTwin(subject, 'contiguous', async (twin) => {
        await twin.prepareSampling(ours.latents, { steps: 5, sigmaMin: 0.002, sigmaMax: 80, rho: 7 });
        const [own, theirs] = [await ours.draw(5), await twin.samples()];
        expect(theirs.shape).toEqual([batch, 3, 16, 16]);
        // 9 evaluations, each with rounding errors of some 1e-7: 1e-6 is seen.
        expect(relativeDifference(theirs.data as Float32Array, own)).toBeLessThan(1e-5);
      });
    } finally {
      await ours.denoiser.release();
    }
  });

  test('another network with the same parameters is found out', async () => {
    const subject = tiny('ddpmpp');
    const ours = await prepareTraining(runtime, subject, { batch, reference: 0 });
    const network = { ...subject.config.network, resampleFilter: [1, 3, 3, 1] };
    try {
      await withTwin({ ...subject, config: { ...subject.config, network } }, 'contiguous', async (twin) => {
        await twin.prepareTraining(ours.forTwin);
        // The loss alone moves by less than 1e-4, the gradient by 3 %.
        const refused = compareSteps(twin, [await ours.checkedStep()]);
        await expect(refused).rejects.toThrow(/of step 1 \(ours .*, PyTorch .*Nothing was timed/);
      });
    } finally {
      await ours.compiled.release();
    }
  });

  test("what goes wrong in PyTorch is told in PyTorch's words", async () => {
    const subject = tiny('ddpmpp');
    const network = { ...subject.config.network, dropout: 0.1 };
    const refused = withTwin({ ...subject, config: { ...subject.config, network } }, 'contiguous', () =>
      Promise.resolve(),
    );
    await expect(refused).rejects.toThrow(/can't load: [^]*without labels, augmentation and dropout only/);
    await expect(refused).rejects.toThrow(StfError);
  });
});

describe('the comparison', () => {
  test('runs in turn, and leaves warm-up out', async () => {
    const order: string[] = [];
    let count = 0;
    const run = (name: string) => (): Promise<number> => {
      order.push(name);
      return Promise.resolve(++count);
    };
    const runs = await alternate(run('ours'), run('peer'), { warmUp: 1, count: 2 });
    expect(order).toEqual(['ours', 'peer', 'ours', 'peer', 'ours', 'peer']);
    expect(runs).toEqual({ ours: [3, 5], peer: [4, 6] });
    expect(await alternate(run('ours'), undefined, { warmUp: 0, count: 2 })).toEqual({ ours: [7, 8] });
  });

  test('the ratio is the median over pairs', () => {
    // Pairs of 6, 1 and 2; the quotient of the medians, 6 / 2, would be 3.
    expect(ratioOf([1, 2, 10], [6, 2, 20])).toEqual({ ratio: 2, ratioQuartiles: [1.5, 4] });
    expect(ratioOf([10], undefined)).toEqual({ ratio: null, ratioQuartiles: null });
  });

  test('a difference above the tolerance ends it, and so does NaN', () => {
    expect(() => requireAgreement('loss', 1e-4, 1e-4)).not.toThrow();
    expect(() => requireAgreement('loss of step 1 (ours 1, PyTorch 2)', 1, 1e-4)).toThrow(/ours 1, PyTorch 2.*Nothing/);
    expect(() => requireAgreement('loss', NaN, 1e-4)).toThrow(StfError);
  });

  test.each([
    [{ contiguous: 1, channels_last: 2 }, 'contiguous', 3],
    [{ contiguous: 2, channels_last: 1 }, 'channels_last', 2],
  ] as const)('with trials of %o the twin is %s', async (times, expected, starts) => {
    let [started, ended] = [0, 0];
    const start = (layout: Twin['layout']): Promise<Twin> => {
      started++;
      return Promise.resolve({ layout, close: () => Promise.resolve(void ended++) } as unknown as Twin);
    };
    let prepared = 0;
    const prepare = (): Promise<void> => Promise.resolve(void prepared++);
    const { twin, trials } = await fastestTwin({ start }, prepare, (each) => Promise.resolve(times[each.layout]));
    expect(prepared).toBe(started);
    expect(twin.layout).toBe(expected);
    expect(trials).toEqual(times);
    expect([started, started - ended]).toEqual([starts, 1]);
  });

  test('a twin that does not compute the same is ended', async () => {
    let ended = 0;
    const start = (): Promise<Twin> =>
      Promise.resolve({ close: () => Promise.resolve(void ended++) } as unknown as Twin);
    const prepare = (): Promise<void> => Promise.reject(new StfError('loss of step 1'));
    await expect(fastestTwin({ start }, prepare, () => Promise.resolve(1))).rejects.toThrow('loss of step 1');
    expect(ended).toBe(1);
  });

  test('a network that is not known is refused with those that are', () => {
    expect(() => networkDefaults(['--network', 'unet'])).toThrow(
      'Choose one of: bench, ncsnpp, ddpmpp128, adm, paper.',
    );
    expect(networkDefaults(['--json', '--network=adm'])).toMatchObject({ network: 'adm', arch: 'adm', batch: 16 });
    expect(networkDefaults([])).toMatchObject({ network: 'bench', arch: 'ddpmpp', cbase: 64, batch: 32 });
    expect(() => networkFrom({ ...networkDefaults([]), arch: 'toString' })).toThrow('Choose one of: ddpmpp, ncsnpp');
  });

  test('without PyTorch the search says where it looked', () => {
    const found = findPython({ STF_PYTHON: '/does/not/exist' });
    // Where the system has PyTorch it is found all the same, after the one that was named.
    if ('why' in found) expect(found.why).toMatch(/\/does\/not\/exist: .*; python3: .*; \/usr\/bin\/python3: /);
    else expect(found.python).not.toBe('/does/not/exist');
  });

  const small = '--cbase 16 --cres 1 --blocks 1 --attn 8 --resolution 8 --batch 2 --threads 1'.split(' ');

  test('reports of the benchmarks without a peer say why', async () => {
    for (const bench of [trainStepBench, sampleBench]) {
      const report = await bench([
        ...small,
        '--peer',
        'none',
        '--steps',
        '2',
        ...(bench === sampleBench ? ['--runs', '1'] : []),
      ]);
      expect(report).toMatchObject({
        batch: 2,
        peer: null,
        ratio: null,
        ratioQuartiles: null,
        whyNoPeer: '--peer none',
      });
      expect(report.ours.ms.median).toBeGreaterThan(0);
    }
  });

  test('reports with a peer have both sides and their ratio', async ({ skip }) => {
    skip(whyNot !== undefined, whyNot);
    const training = await trainStepBench([...small, '--arch', 'ncsnpp', '--reference', '4']);
    const sampling = await sampleBench([...small, '--steps', '2', '--runs', '1']);
    expect(training).toMatchObject({
      objective: 'stf 4',
      ours: { ms: { runs: 10 } },
      peer: { ms: { runs: 10 }, threads: 1 },
    });
    expect(sampling).toMatchObject({ nfe: 3, ours: { ms: { runs: 1 } }, peer: { ms: { runs: 1 }, threads: 1 } });
    for (const report of [training, sampling]) {
      expect(Object.keys(report.peer!.trialMs)).toContain(report.peer!.layout);
      expect(report.peer!.peakMemoryMb).toBeGreaterThan(50);
      expect(report.ratio).toBeGreaterThan(0);
      expect(report).not.toHaveProperty('whyNoPeer');
    }
    // One pair: its ratio is that of the two times. Each of the three is rounded to four digits, by at most 1/2000.
    const again = sampling.peer!.ms.median / sampling.ours.ms.median;
    expect(Math.abs(sampling.ratio! / again - 1)).toBeLessThan(3 / 2000 + 1e-5);
  });

  test.each([
    [['--peer', 'jax'], 'Choose one of: pytorch, none.'],
    [['--waiting', 'no'], 'Choose one of: passive, active.'],
    [['--without', 'foldConstants,speed'], 'unknown optimisation "speed". Choose from: foldConstants, '],
  ])('%s is refused', async (flags, message) => {
    await expect(trainStepBench(flags)).rejects.toThrow(message);
  });
});
