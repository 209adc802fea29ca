import { useEffect, useRef, useState } from 'preact/hooks';
import { useFlowTime } from './motion.ts';
import type { Both, Flow, Side } from './protocol.ts';
import { readable } from './scale.ts';
import type { Sources } from './targets.ts';
import type { Scene } from './tour.ts';
import type { Trainer } from './trainer.ts';

/* What the stages of points and of pictures have in common. */

export interface StagesProps {
  readonly sources: Sources;
  /** Shape of a sample. */
  readonly shape: readonly number[];
  readonly scene: Scene;
  /** References of a stable target. */
  readonly references: number;
  /** How many times targets were drawn again. */
  readonly draw: number;
  readonly trainer: Trainer;
  readonly lessMotion: boolean;
  readonly onChoose: (chosen: number | undefined) => void;
}

export const nameOf = (side: Side): string => (side === 'dsm' ? 'DSM' : 'STF');

/**
 * What both models make of noisy samples [n, d], asked again after every turn of training.
 *
 * @returns undefined until they have answered
 */
export function useAnswers(
  { trainer, scene: { view, sigma } }: StagesProps,
  asked: Float64Array,
): Both<Float64Array> | undefined {
  const [learned, setLearned] = useState<{ values: Both<Float64Array>; asked: Float64Array }>();
  useEffect(() => {
    if (view !== 'field' || trainer.status !== 'ready') return;
    void trainer.denoise(asked, sigma).then((values) => values && setLearned({ values, asked }));
  }, [view, asked, trainer.step, trainer.status]);
  return learned?.asked === asked ? learned.values : undefined;
}

/** Samples and how far they are on their way. Those that are shown are kept until they have arrived. */
export function useFlow({ trainer, scene: { view }, lessMotion }: StagesProps): {
  shown: Flow | undefined;
  time: number;
} {
  const [shown, setShown] = useState<Flow>();
  const latest = useRef<Flow | undefined>(undefined);
  latest.current = trainer.flow;
  const moves = view === 'samples' && shown !== undefined && !lessMotion;
  const time = useFlowTime(moves, () => setShown(latest.current));
  useEffect(() => {
    if (view === 'samples' && trainer.status === 'ready' && trainer.flow === undefined) trainer.drawFlow();
    // While training runs the worker draws some now and then.
    else if (view === 'samples' && !trainer.isRunning && trainer.flow && trainer.flow.step < trainer.step)
      trainer.drawFlow();
    if (trainer.flow === undefined) setShown(undefined);
    else if (shown === undefined || lessMotion) setShown(trainer.flow);
  }, [view, trainer.status, trainer.flow, trainer.isRunning, trainer.step, lessMotion]);
  return { shown, time: lessMotion ? 1 : time };
}

/** The figure below a stage, for samples. */
export function readingOfFlow(flow: Flow | undefined, side: Side): string {
  if (!flow) return 'Drawing samples …';
  const [steps, distance] = [flow.step.toLocaleString('en'), readable(flow.distance[side])];
  if (!flow.likeness) return `After ${steps} steps, ${distance} from the data (sliced Wasserstein).`;
  const copied = Math.round(100 * flow.likeness[side].copied);
  return `After ${steps} steps, ${distance} a pixel from the nearest picture; ${copied} % are copies of one.`;
}
