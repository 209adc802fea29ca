import { useEffect, useRef, useState } from 'preact/hooks';
import { dataKey } from './data-sets.ts';
import { History } from './history.ts';
import type { Both, Flow, FromWorker, Settings, ToWorker } from './protocol.ts';
import type { Variances } from './target-variance.ts';

/** What the page knows of the training in the worker. */
export interface Training {
  readonly status: 'starting' | 'ready' | 'failed';
  readonly message: string;
  readonly isRunning: boolean;
  readonly step: number;
  readonly stepsPerSecond: number;
  readonly losses: History;
  readonly distances: History;
  readonly variances: Variances | undefined;
  readonly flow: Flow | undefined;
}

const nothing: Training = {
  status: 'starting',
  message: '',
  isRunning: false,
  step: 0,
  stepsPerSecond: 0,
  losses: new History(),
  distances: new History(),
  variances: undefined,
  flow: undefined,
};

export interface Trainer extends Training {
  /** Trains, or waits. */
  readonly run: (isRunning: boolean) => void;
  /** Takes some steps. */
  readonly steps: (count: number) => void;
  /** Forgets what was learned. */
  readonly reset: () => void;
  /** What both models make of noisy samples [n, d]; undefined when a later question has come in between. */
  readonly denoise: (at: Float64Array, sigma: number) => Promise<Both<Float64Array> | undefined>;
  /** Asks for new samples. */
  readonly drawFlow: () => void;
}

/** Milliseconds for which a slider must rest before models are built for its value. */
const rest = 250;

/** The training of one page, in a worker. */
export function useTrainer(settings: Settings): Trainer {
  const [training, setTraining] = useState(nothing);
  const worker = useRef<Worker | undefined>(undefined);
  const question = useRef({ id: 0, answer: (_: Both<Float64Array> | undefined): void => undefined });
  const last = useRef<Settings | undefined>(undefined);
  const send = (message: ToWorker): void => worker.current?.postMessage(message);

  useEffect(() => {
    const made = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    worker.current = made;
    made.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.kind === 'denoised') {
        if (data.id === question.current.id) question.current.answer(data.values);
      } else setTraining((before) => after(before, data));
    };
    made.onerror = (event) => {
      event.preventDefault();
      const message = event.message || 'the file of the training thread could not be loaded';
      setTraining((before) => after(before, { kind: 'failed', message }));
    };
    return () => made.terminate();
  }, []);

  useEffect(() => {
    const before = last.current;
    const keepsModels =
      before !== undefined && dataKey(before.data) === dataKey(settings.data) && before.seed === settings.seed;
    const begin = (): void => {
      last.current = settings;
      if (!keepsModels) forget();
      send({ kind: 'setup', settings, keepsModels });
    };
    if (before === undefined || !keepsModels) return begin();
    const timer = setTimeout(begin, rest);
    return () => clearTimeout(timer);
  }, [settings]);

  const forget = (): void =>
    setTraining(({ isRunning }) => ({ ...nothing, losses: new History(), distances: new History(), isRunning }));

  return {
    ...training,
    run: (isRunning) => {
      setTraining((before) => ({ ...before, isRunning }));
      send({ kind: 'run', isRunning });
    },
    steps: (count) => send({ kind: 'steps', count }),
    reset: () => {
      forget();
      setTraining((before) => ({ ...before, isRunning: false }));
      send({ kind: 'run', isRunning: false });
      send({ kind: 'setup', settings, keepsModels: false });
    },
    denoise: (at, sigma) => {
      question.current.answer(undefined);
      const id = question.current.id + 1;
      return new Promise((answer) => {
        question.current = { id, answer };
        send({ kind: 'denoise', id, at, sigma });
      });
    },
    drawFlow: () => send({ kind: 'flow', id: 0 }),
  };
}

/** What is known after a message. */
function after(before: Training, message: Exclude<FromWorker, { kind: 'denoised' }>): Training {
  switch (message.kind) {
    case 'ready':
      return { ...before, status: 'ready', step: message.step, message: '' };
    case 'progress':
      // What was sent before the models were forgotten is forgotten too.
      if (before.status === 'starting') return before;
      before.losses.add(message.step, message.loss);
      return { ...before, step: message.step, stepsPerSecond: message.stepsPerSecond };
    case 'variances':
      return { ...before, variances: message.variances };
    case 'flow':
      if (before.status === 'starting') return before;
      before.distances.add(message.flow.step, message.flow.distance);
      return { ...before, flow: message.flow };
    case 'failed':
      return { ...before, status: 'failed', message: message.message, isRunning: false };
  }
}
