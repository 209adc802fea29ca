import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { writeSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StfError } from '../src/errors.ts';
import { presets } from '../src/training/index.ts';
import { readArguments } from './arguments.ts';

const main = join(import.meta.dirname, '../src/cli/main.js');
const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((file) => existsSync(file));

/** Runs that are put side by side, at most. */
const mostCompared = 20;
/** Seconds for which a server is watched that has nothing to do. */
const idleSeconds = 10;

/**
 * How long it takes until runs with many lines of statistics are open: the list, the curves of 20 runs side by side and
 * of each run alone, as the server answers and as a browser has drawn them; what the server does while a page is open and
 * nothing happens; and its memory.
 *
 * The statistics are written once and linked into every run, so that they take the disk only once; every run is read and
 * kept on its own. They are in the page cache.
 */
export async function serveBench(argv: readonly string[]) {
  const options = readArguments(argv, { runs: 20, lines: 100_000, files: 0 });
  const folder = mkdtempSync(join(tmpdir(), 'stf-serve-'));
  let server: ChildProcess | undefined;
  try {
    const bytes = writeRuns(folder, options);
    const started = performance.now();
    server = spawn(process.execPath, [main, 'serve', folder, '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const address = await addressOf(server);
    const start = performance.now() - started;
    const memory = (): number => residentMb(server!.pid!);
    const ask = async <T>(path: string): Promise<{ ms: number; answer: T; kb: number }> => {
      const begin = performance.now();
      const text = await (await fetch(address + path)).text();
      return {
        ms: Math.round(performance.now() - begin),
        answer: JSON.parse(text) as T,
        kb: Math.round(text.length / 1024),
      };
    };
    const list = await ask<{ runs: { id: string }[] }>('api/runs');
    const all = list.answer.runs.map(({ id }) => id);
    const ids = all.slice(0, mostCompared);
    const listBrowser = await listInBrowser(address, all.length);
    const idleCpuPercent = await idleCpu(server.pid!, address);
    const listMb = memory();
    const browser = await inBrowser(address, ids);
    const query = (some: readonly string[]): string =>
      `api/series?points=350&band=0&${[...some.map((id) => ['run', id]), ...keys.map((key) => ['key', key])].map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')}`;
    type Series = { runs: { exact: boolean; x: number[] }[] };
    const together = await ask<Series>(query(ids));
    const alone = await Promise.all(ids.slice(0, 1).map((id) => ask<Series>(query([id]))));
    const completing = performance.now();
    const waits: number[] = [];
    let exact = together;
    while (!exact.answer.runs.every((run) => run.exact)) {
      await sleep(250);
      exact = await ask<Series>(query(ids));
      waits.push(exact.ms);
    }
    const [last] = exact.answer.runs[0].x.slice(-1);
    const zoom = await ask<Series>(`${query(ids.slice(0, 1))}&from=${last * 0.5}&to=${last * 0.52}`);
    return {
      bench: 'serve',
      runs: options.runs,
      linesEach: options.lines,
      filesEach: options.files,
      megabytesEach: Math.round(bytes / 1e6),
      startMs: Math.round(start),
      listMs: list.ms,
      list: listBrowser,
      idleCpuPercent,
      sideBySide: ids.length,
      sideBySideMs: together.ms,
      sideBySideKb: together.kb,
      oneRunMs: alone[0].ms,
      browser,
      whileReading: {
        secondsUntilExact: Math.round((performance.now() - completing) / 100) / 10,
        slowestAnswerMs: Math.max(0, ...waits),
      },
      exactAnswerMs: (await ask<Series>(query(ids))).ms,
      zoomMs: zoom.ms,
      zoomPoints: zoom.answer.runs[0].x.length,
      serverMb: { list: listMb, now: memory(), peak: peakMb(server.pid!) },
    };
  } finally {
    server?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

const ranges = ['low', 'mid', 'high'];
const keys = [
  'Loss/loss',
  'Optimizer/gradient_norm',
  'Optimizer/learning_rate',
  'Timing/sec_per_kimg',
  ...ranges.flatMap((range) => [`Target/dsm_variance/${range}`, `Target/stf_variance/${range}`]),
];

/** Writes the runs. Returns the bytes of one stats.jsonl. */
function writeRuns(folder: string, { runs, lines, files }: { runs: number; lines: number; files: number }): number {
  const first = join(folder, 'stats.jsonl');
  const file = openSync(first, 'w');
  for (let line = 0; line < lines; line += 1000) {
    const some = Array.from({ length: Math.min(1000, lines - line) }, (_, i) => lineOf(line + i));
    writeSync(file, `${some.join('\n')}\n`);
  }
  closeSync(file);
  for (let run = 0; run < runs; run++) {
    const path = join(folder, `${String(run).padStart(5, '0')}-toy`);
    mkdirSync(path);
    writeFileSync(join(path, 'options.json'), JSON.stringify(presets['toy-2d']));
    writeFileSync(join(path, 'summary.json'), JSON.stringify({ finished: true }));
    linkSync(first, join(path, 'stats.jsonl'));
    // What else a run leaves, all of it one empty file.
    const samples = (i: number): string => join(path, `samples-${String(i).padStart(6, '0')}.png`);
    if (files > 0) writeFileSync(samples(0), '');
    for (let i = 1; i < files; i++) linkSync(samples(0), samples(i));
  }
  const { size } = statSync(first);
  rmSync(first);
  return size;
}

/** A line as a run on images writes it. */
function lineOf(tick: number): string {
  const noise = ((tick * 2654435761) % 1000) / 1000;
  const values: Record<string, number> = {
    'Loss/loss': 0.2 + 1 / (1 + tick / 1000) + 0.05 * noise,
    'Optimizer/learning_rate': 0.001,
    'Optimizer/gradient_norm': 1.5 + noise,
    'Optimizer/ema_beta': 0.99631,
    'Target/drawn/low': 0.4 + noise / 10,
    'Target/drawn/mid': 3.5 + noise,
    'Target/drawn/high': 14 + noise,
    'Progress/tick': tick,
    'Progress/kimg': tick * 2.048,
    'Timing/total_sec': tick * 20.25,
    'Timing/sec_per_tick': 20.25 + noise,
    'Timing/sec_per_kimg': 10 + noise,
    'Timing/maintenance_sec': 0.4,
    'Resources/cpu_mem_gb': 0.93,
    'Resources/peak_gpu_mem_gb': 0,
    ...Object.fromEntries(
      ranges.flatMap((range, i) => [
        [`Target/dsm_variance/${range}`, 10 ** i * (1 + noise)],
        [`Target/stf_variance/${range}`, 10 ** i * 0.3 * (1 + noise)],
        [`Target/effective_sources/${range}`, 10 ** (i + 1) + noise],
      ]),
    ),
  };
  const entries = Object.entries(values).map(([key, mean]) => [
    key,
    { num: 54, mean, std: Math.abs(mean) * 0.01234567891 },
  ]);
  return JSON.stringify({ ...Object.fromEntries(entries), timestamp: 1_795_443_634.572 + tick * 20 });
}

function addressOf(server: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    server.stdout!.on('data', (part: Buffer) => {
      text += part.toString();
      const [address] = /http:\S+/.exec(text) ?? [];
      if (address !== undefined) resolve(address);
    });
    server.on('exit', (code) => reject(new StfError(`stf serve ended with ${code}.`)));
  });
}

/** The share of one core that a server takes while a page is open and nothing happens. */
async function idleCpu(pid: number, address: string): Promise<number> {
  const page = new AbortController();
  const events = await fetch(`${address}api/events`, { signal: page.signal });
  const reading = (async () => {
    for await (const _ of events.body!);
  })().catch(() => {}); // it ends when the page is closed
  await sleep(2000);
  const before = cpuSeconds(pid);
  await sleep(1000 * idleSeconds);
  const used = cpuSeconds(pid) - before;
  page.abort();
  await reading;
  return Math.round((1000 * used) / idleSeconds) / 10;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Seconds of processor that a process has used, of which the system counts hundredths. */
const cpuSeconds = (pid: number): number => {
  const text = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : '';
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

const gapsOf = (count: number, each: string): string =>
  `new Promise((resolve) => { const gaps = []; let last = performance.now();
    const frame = (now) => { ${each}; gaps.push(now - last); last = now;
      if (gaps.length < ${count}) requestAnimationFrame(frame); else resolve(gaps); };
    requestAnimationFrame(frame); })`;

const medianAndWorst = (gaps: readonly number[]) => {
  const sorted = [...gaps].sort((a, b) => a - b);
  return { median: Math.round(sorted[Math.floor(gaps.length / 2)]), worst: Math.round(sorted[gaps.length - 1]) };
};

/** How long a browser takes from the address to the list, its frames while it scrolls, and a filter; null without one. */
async function listInBrowser(address: string, runs: number) {
  if (chromium === undefined) return null;
  const { chromium: launcher } = await import('playwright-core');
  const browser = await launcher.launch({ executablePath: chromium, args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    const begin = performance.now();
    await page.goto(address);
    await page.waitForSelector(`.run-row:nth-child(${runs + 1}) .state`, { state: 'attached' });
    const shown = performance.now() - begin;
    const gaps = await page.evaluate<number[]>(gapsOf(60, 'scrollBy(0, 300)'));
    const filtering = performance.now();
    const box = page.getByLabel('Filter');
    const isThere = (await box.count()) > 0;
    if (isThere) {
      await box.fill('00007');
      await page.waitForSelector('.run-row:nth-child(3)', { state: 'detached' });
    }
    return {
      firstMs: Math.round(shown),
      frameMsWhileScrolling: medianAndWorst(gaps),
      filterMs: isThere ? Math.round(performance.now() - filtering) : null,
    };
  } finally {
    await browser.close();
  }
}

/** How long a browser takes from the address to curves of all runs, and the frames while one zooms; null without one. */
async function inBrowser(address: string, ids: readonly string[]) {
  if (chromium === undefined) return null;
  const { chromium: launcher } = await import('playwright-core');
  const browser = await launcher.launch({ executablePath: chromium, args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    const begin = performance.now();
    await page.goto(`${address}#/${ids.join('+')}/curves`);
    await page.waitForSelector('.chart[data-lines]:not([data-lines="0"])');
    const drawn = performance.now() - begin;
    const slider = page.getByLabel('Smoothing');
    const frames = page.evaluate<number[]>(gapsOf(60, ''));
    for (let press = 0; press < 10; press++) await slider.press('ArrowRight');
    return { firstCurvesMs: Math.round(drawn), frameMsWhileSmoothing: medianAndWorst(await frames) };
  } finally {
    await browser.close();
  }
}

const statusOf = (pid: number, name: string): number => {
  const status = existsSync(`/proc/${pid}/status`) ? readFileSync(`/proc/${pid}/status`, 'utf8') : '';
  return Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? NaN) / 1024);
};
const residentMb = (pid: number): number => statusOf(pid, 'VmRSS');
const peakMb = (pid: number): number => statusOf(pid, 'VmHWM');
