import { writeFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { SamplingEvent } from '../../../src/node/serve/api.ts';
import { startSampling } from '../../../src/node/serve/sampling-process.ts';
import { temporaryFolder } from '../../cli/support.ts';

const folder = temporaryFolder();

/** What a program tells until it is over, and what it tells later. */
async function toldBy(source: string): Promise<SamplingEvent[]> {
  const entry = folder.join('program.mjs');
  writeFileSync(entry, source);
  const told: SamplingEvent[] = [];
  await new Promise<void>((resolve) => {
    startSampling(entry, [], (event) => {
      told.push(event);
      if (event.kind === 'done' || event.kind === 'error') resolve();
    });
  });
  await wait(50);
  return told;
}

describe('the last word of a process that draws samples', () => {
  test('is what it sent last, however much is still on its way when it has ended', async () => {
    // Far more than a pipe holds, so that the end of the process is known before the last message is read.
    const told = await toldBy(`
      const frame = { kind: 'frame', done: 0.5, sigma: 1, points: { noisy: new Array(100000).fill(0.123), denoised: [] } };
      for (let i = 0; i < 60; i++) process.send(frame);
      process.send({ kind: 'done', evaluations: 3, seconds: 1 }, () => process.exit());
    `);
    expect(told.map(({ kind }) => kind)).toEqual([...new Array<string>(60).fill('frame'), 'done']);
  });

  test('is what it complained of when it broke off', async () => {
    const told = await toldBy("console.error('a\\nno memory for 3 GB'); process.exit(7);");
    expect(told).toEqual([
      {
        kind: 'error',
        message: 'the process that drew the samples broke off with exit code 7. no memory for 3 GB',
      },
    ]);
  });

  test.skipIf(process.platform === 'win32')('names the signal that ended it', async () => {
    const told = await toldBy("process.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 1000);");
    expect(told).toEqual([
      {
        kind: 'error',
        message: 'the process that drew the samples was ended by SIGKILL. Perhaps memory ran out: ask for fewer seeds.',
      },
    ]);
  });

  test('is told once, also when the channel is closed before the process ends', async () => {
    const told = await toldBy('process.disconnect(); setTimeout(() => process.exit(3), 100);');
    expect(told.map(({ kind }) => kind)).toEqual(['error']);
  });
});
