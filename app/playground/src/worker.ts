import type { Runtime } from 'stable-target-field';
import { webRuntime } from 'stable-target-field/web';
import { dataKey, datasetOf, isOfPictures, sourcesOf } from './data-sets.ts';
import type { FromWorker, Settings, ToWorker } from './protocol.ts';
import { sigmaRanges, VarianceMeter } from './target-variance.ts';
import { makeTwin } from './twin.ts';
import type { Twin } from './twin.ts';

/*
 * Trains, in a thread of its own so that the page stays smooth. Everything happens in turn: the engine takes one call at a
 * time.
 */

/** Milliseconds between two signs of life while training runs. */
const turn = 60;
/** Steps between two measurements of the samples' distance to the data. */
const distanceEvery = 200;
/** Noisy samples a level that the variance is measured on at first, and at most; the first take no longer than so many ms. */
const [firstDraws, lastDraws, firstTime] = [160, 2048, 400];
/** The share of the time that measuring may take while training runs. */
const measuredShare = 0.06;
/** Up to so many draws the measurement goes on while there is nothing else to do, for so many milliseconds at a time. */
const [idleDraws, idleTime] = [640, 60];

type Setup = Extract<ToWorker, { kind: 'setup' }>;
type Denoise = Extract<ToWorker, { kind: 'denoise' }>;

let engine: Promise<Runtime> | undefined;
let twin: Twin | undefined;
let settings: Settings | undefined;
let meter: VarianceMeter | undefined;
/** Milliseconds of training that measuring has a share in and did not take yet. */
let owed = 0;
let isRunning = false;
let stepsToTake = 0;
let lastDistance = -1;
// What was asked and not answered yet: of each kind the last.
let setup: Setup | undefined;
let denoise: Denoise | undefined;
let flow: number | undefined;
let wake: (() => void) | undefined;

const scope = globalThis as unknown as {
  onmessage: (event: { data: ToWorker }) => void;
  postMessage: (message: FromWorker) => void;
};
const tell = (message: FromWorker): void => scope.postMessage(message);

scope.onmessage = ({ data }) => {
  switch (data.kind) {
    case 'setup':
      setup = { ...data, keepsModels: data.keepsModels && (setup?.keepsModels ?? true) };
      break;
    case 'run':
      isRunning = data.isRunning;
      break;
    case 'steps':
      stepsToTake += data.count;
      break;
    case 'denoise':
      denoise = data;
      break;
    case 'flow':
      flow = data.id;
      break;
  }
  wake?.();
};

/** Lets messages in. */
const breathe = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

const somethingToDo = (): Promise<void> =>
  new Promise((resolve) => {
    wake = resolve;
  });

async function begin({ settings: next, keepsModels }: Setup): Promise<void> {
  const start = performance.now();
  // Networks this small are done before other threads have heard of them.
  engine ??= webRuntime({ device: 'wasm', threads: 1 });
  const runtime = await engine;
  const keeps = keepsModels && twin !== undefined && sameData(next) && settings?.seed === next.seed;
  const state = keeps ? await twin!.state() : undefined;
  await twin?.release();
  twin = undefined;
  const dataset = datasetOf(next.data);
  const hasOtherTargets = !sameData(next) || settings?.references !== next.references;
  settings = next;
  if (hasOtherTargets) {
    const range = sigmaRanges[isOfPictures(next.data) ? 'pictures' : 'points'];
    meter = new VarianceMeter(sourcesOf(dataset), next.references, range);
    measure(firstDraws, firstTime);
  } else if (meter) tell({ kind: 'variances', variances: meter.result() });
  twin = await makeTwin(runtime, dataset, next, state);
  if (!keeps) {
    stepsToTake = 0;
    lastDistance = -1;
  }
  tell({ kind: 'ready', step: twin.step, seconds: (performance.now() - start) / 1000 });
}

const sameData = (next: Settings): boolean => settings !== undefined && dataKey(settings.data) === dataKey(next.data);

/** Measures up to so many draws a level for about so many milliseconds, and one at least. @returns milliseconds */
function measure(most: number, milliseconds: number): number {
  if (!meter || meter.draws >= most) return 0;
  const start = performance.now();
  do meter.draw(1);
  while (meter.draws < most && performance.now() < start + milliseconds);
  tell({ kind: 'variances', variances: meter.result() });
  return performance.now() - start;
}

async function train(model: Twin): Promise<void> {
  const start = performance.now();
  const sum = { dsm: 0, stf: 0 };
  let steps = 0;
  while ((isRunning || stepsToTake > 0) && !setup && performance.now() < start + turn) {
    const loss = await model.train();
    sum.dsm += loss.dsm;
    sum.stf += loss.stf;
    steps++;
    stepsToTake = Math.max(0, stepsToTake - 1);
  }
  if (steps === 0) return;
  const time = performance.now() - start;
  const stepsPerSecond = (1000 * steps) / time;
  tell({
    kind: 'progress',
    step: model.step,
    loss: { dsm: sum.dsm / steps, stf: sum.stf / steps },
    stepsPerSecond,
  });
  owed += measuredShare * time;
  if (owed > 0) owed -= measure(lastDraws, 0);
  if (model.step >= lastDistance + distanceEvery) await draw(model, null);
}

async function draw(model: Twin, id: number | null): Promise<void> {
  const drawn = await model.flow();
  lastDistance = drawn.step;
  tell({ kind: 'flow', id, flow: drawn });
}

for (;;) {
  try {
    if (setup) {
      const next = setup;
      setup = undefined;
      await begin(next);
    } else if (twin && denoise) {
      const { id, at, sigma } = denoise;
      denoise = undefined;
      tell({ kind: 'denoised', id, values: await twin.denoise(at, sigma) });
    } else if (twin && flow !== undefined) {
      const id = flow;
      flow = undefined;
      await draw(twin, id);
    } else if (twin && (isRunning || stepsToTake > 0)) await train(twin);
    else if (meter && meter.draws < idleDraws) measure(idleDraws, idleTime);
    else await somethingToDo();
    await breathe();
  } catch (error) {
    isRunning = false;
    stepsToTake = 0;
    twin = undefined;
    tell({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
  }
}
