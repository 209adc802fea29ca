import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { encodePng } from '../../src/formats/png.ts';
import { zipWriter } from '../../src/formats/zip-writer.ts';
import { figureData } from '../../src/report/figure-data.ts';
import type { LineFigureData } from '../../src/report/line-figure.ts';
import { stf, temporaryFolder } from './support.ts';

const folder = temporaryFolder();
const small = ['--levels', '5', '--images', '8', '--threads', '1'];

describe('stf analyze phases', () => {
  test('writes figure, table, options and report, and tells where the phases lie', async () => {
    const dest = folder.join('phases');
    const { code, stdout, stderr } = await stf([
      ...['analyze', 'phases', '--data', 'eight-gaussians', '--max-images', '300', '--process', 'vp'],
      ...[...small, '--seed', '4', '--dest', dest],
    ]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(folder.list().filter((name) => name.startsWith('phases/'))).toEqual(
      ['options.json', 'phases.csv', 'phases.md', 'phases.png', 'phases.svg', 'report.md'].map(
        (name) => `phases/${name}`,
      ),
    );
    expect(stdout).toMatch(/Share of the noise levels of training:\n {2}EDM .*\n {2}VE .*\n {2}VP .* of the draws/);
    const options = JSON.parse(readFileSync(folder.join('phases', 'options.json'), 'utf8')) as Record<string, unknown>;
    expect(options).toMatchObject({ seed: 4, samples: 300, process: 'vp', levels: 5, images: 8 });
    expect(options.versions).toMatchObject({ node: process.version, threads: 1 });
    const { panels } = figureData(readFileSync(folder.join('phases', 'phases.svg'), 'utf8')) as LineFigureData;
    expect(panels[0].series[0].x).toHaveLength(5);
  });

  test('the same seed gives the same table, another seed another one', async () => {
    const tableOf = async (name: string, seed: string): Promise<string> => {
      const dest = folder.join(name);
      const { code } = await stf([
        ...[
          'analyze',
          'phases',
          '--data',
          'two-moons',
          '--max-images',
          '100',
          ...small,
          '--seed',
          seed,
          '--dest',
          dest,
        ],
      ]);
      expect(code).toBe(0);
      return readFileSync(folder.join(name, 'phases.csv'), 'utf8');
    };
    const first = await tableOf('a', '0');
    expect(await tableOf('b', '0')).toBe(first);
    expect(await tableOf('c', '1')).not.toBe(first);
  });

  test('of images it also shows a noisy one with its likely sources', async () => {
    const zip = zipWriter();
    const parts: Uint8Array[] = [];
    for (let i = 0; i < 12; i++) {
      const data = Uint8Array.from({ length: 8 * 8 * 3 }, (_, j) => (j * 31 * (i + 1)) % 256);
      parts.push(...zip.file(`${i}.png`, encodePng({ width: 8, height: 8, channels: 3, data })));
    }
    parts.push(...zip.end());
    writeFileSync(folder.join('set.zip'), Buffer.concat(parts));
    const { code, stderr } = await stf([
      ...['analyze', 'phases', '--data', folder.join('set.zip'), ...small, '--dest', folder.join('images')],
    ]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const svg = readFileSync(folder.join('images', 'sources.svg'), 'utf8');
    expect(svg.match(/<image /g)).toHaveLength(3 * 9);
    expect(svg).toContain('exact target');
  });

  test('refuses what it cannot do, before anything is computed', async () => {
    const refused = async (...args: string[]): Promise<string> => {
      const { code, stderr } = await stf(['analyze', 'phases', ...args]);
      expect(code).toBe(2);
      return stderr;
    };
    expect(await refused('--data', 'nowhere')).toContain('--data: unknown value "nowhere"');
    expect(await refused('--process', 'ddpm')).toContain('Choose one of: edm, ve, vp');
    expect(await refused('--levels', '1')).toContain('--levels must be an integer of at least 2, got 1');
    expect(await refused('--data', 'two-moons', '--sigma-min', '5', '--sigma-max', '2')).toContain(
      '--sigma-min must be below --sigma-max, got 5 and 2',
    );
    expect(folder.list()).toEqual([]);
  });
});

describe('stf analyze targets', () => {
  test('writes both figures and both tables', async () => {
    const dest = folder.join('targets');
    const { code, stdout, stderr } = await stf([
      ...['analyze', 'targets', '--data', 'eight-gaussians', '--max-images', '200', '--sizes', '1,8,64'],
      ...['--levels', '2', '--images', '4', '--batches', '8', '--threads', '1', '--dest', dest],
      ...['--sigma-min', '0.5', '--sigma-max', '5'],
    ]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(folder.list().filter((name) => /\.(svg|csv)$/.test(name))).toEqual([
      'targets/bias.svg',
      'targets/covariance.svg',
      'targets/slopes.csv',
      'targets/targets.csv',
    ]);
    expect(stdout).toContain('| σ | phase | slope |');
    // 2 levels of 3 sizes and the whole set, and the heading.
    expect(readFileSync(folder.join('targets', 'targets.csv'), 'utf8').trimEnd().split('\n')).toHaveLength(9);
  });

  test('refuses sizes that do not rise', async () => {
    const { code, stderr } = await stf(['analyze', 'targets', '--sizes', '4,4']);
    expect(code).toBe(2);
    expect(stderr).toContain('--sizes must rise, got 4,4');
  });
});
