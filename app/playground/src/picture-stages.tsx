import type { JSX } from 'preact';
import { useCallback, useMemo } from 'preact/hooks';
import { clear } from './paint.ts';
import type { Surface } from './paint.ts';
import { paintChosen, paintPictureFlow, paintRows, rowAt } from './paint-pictures.ts';
import type { Both, Side } from './protocol.ts';
import { readable } from './scale.ts';
import { StagePair } from './stage.tsx';
import { nameOf, readingOfFlow, useAnswers, useFlow } from './stages.ts';
import type { StagesProps } from './stages.ts';
import { noisySamples, rootMean, squaredDistance, targetsOf } from './targets.ts';
import type { View } from './view.ts';

/** Noisy pictures on the stage. */
export const noisyPictures = 4;

/** A canvas of pictures has no plane. */
const frame = { centre: [0, 0], halfWidth: 1 } as const;

/** Both models on pictures. */
export function PictureStages(props: StagesProps): JSX.Element {
  const { sources, shape, scene, references, draw, onChoose } = props;
  const { sigma, view } = scene;
  const noisy = useMemo(() => noisySamples(sources, { sigma, count: noisyPictures }), [sources, sigma]);
  const chosen = scene.chosen === undefined ? undefined : Math.min(scene.chosen, noisy.length - 1);
  const targets = useMemo(
    () => targetsOf(sources, noisy, { sigma, n: references, draw }),
    [sources, noisy, references, draw],
  );
  const asked = useMemo(() => {
    const all = new Float64Array(noisy.length * sources.dimension);
    noisy.forEach(({ at }, i) => all.set(at, i * sources.dimension));
    return all;
  }, [noisy]);
  const answers = useAnswers(props, asked);
  const { shown, time } = useFlow(props);
  const answersOf = (side: Side): Float64Array[] | undefined =>
    answers && noisy.map((_, i) => answers[side].subarray(i * sources.dimension, (i + 1) * sources.dimension));

  const paint = (side: Side) => (surface: Surface) => {
    clear(surface);
    const common = { side, shape, sigma, noisy, exact: targets.map(({ exact }) => exact) };
    if (view === 'samples') {
      if (shown) paintPictureFlow(surface, { sources, shape }, side, shown, time);
    } else if (view === 'field') paintRows(surface, { ...common, told: answersOf(side), name: 'denoised' });
    else if (chosen === undefined)
      paintRows(surface, { ...common, told: targets.map((each) => each[side]), name: 'target' });
    else paintChosen(surface, { side, sources, shape, sigma, noisy: noisy[chosen], targets: targets[chosen] });
  };
  const changes = [view, sources, noisy, targets, chosen, answers, shown, time];
  const paints: Both<(surface: Surface) => void> = {
    dsm: useCallback(paint('dsm'), changes),
    stf: useCallback(paint('stf'), changes),
  };

  // Distances of pictures a pixel, so that they can be compared with colours, which go from -1 to 1.
  const away = (told: readonly ArrayLike<number>[]): string =>
    readable(rootMean(told.map((each, i) => squaredDistance(each, targets[i].exact) / sources.dimension)));
  const reading = (side: Side): string => {
    if (view === 'samples') return readingOfFlow(shown, side);
    if (view === 'targets') return `Targets lie ${away(targets.map((each) => each[side]))} a pixel from their mean.`;
    const told = answersOf(side);
    return told ? `Answers lie ${away(told)} a pixel from the exact mean.` : 'Asking the model …';
  };
  const describe = (side: Side): string => {
    const level = `at noise level ${readable(sigma)}`;
    if (view === 'samples')
      return `Samples of the ${nameOf(side)} model on their way from noise to pictures, each beside the nearest of the data`;
    const told = view === 'targets' ? `${nameOf(side)} target` : `answer of the ${nameOf(side)} model`;
    return chosen === undefined || view === 'field'
      ? `${noisy.length} noisy pictures ${level}, each with the ${told} and the exact mean`
      : `Noisy picture ${chosen + 1} ${level} with its ${told}, and the candidates by weight`;
  };
  const onPick = ([, y]: [number, number], { size }: View): void => {
    if (view === 'targets') onChoose(chosen === undefined ? rowAt(size, noisy.length, y) : undefined);
  };

  return <StagePair frame={frame} describe={describe} reading={reading} paints={paints} onPick={onPick} />;
}
