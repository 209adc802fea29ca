import type { JSX } from 'preact';
import { useCallback, useMemo, useState } from 'preact/hooks';
import { clear, paintField, paintFlow, paintMagnification, paintReferences, paintTargets } from './paint.ts';
import type { Surface } from './paint.ts';
import type { Both, Side } from './protocol.ts';
import { readable } from './scale.ts';
import { StagePair } from './stage.tsx';
import { nameOf, readingOfFlow, useAnswers, useFlow } from './stages.ts';
import type { StagesProps } from './stages.ts';
import { densestRow, exactMean, noisySamples, rootMean, squaredDistance, targetsOf } from './targets.ts';
import { asPoint, frameAt, gridOver, isWithin, nearestWithin, pointOf, toPixels, wholeCloud } from './view.ts';
import type { View } from './view.ts';

/** Noisy points on the stage, and arrows on a side of a field. */
export const noisyPoints = 40;
const perSide = 17;

/** Both models on points in the plane. */
export function PointStages(props: StagesProps): JSX.Element {
  const { sources: points, scene, references, draw, lessMotion } = props;
  const { sigma, view } = scene;
  // The point under the pointer comes before the one that was chosen.
  const [pointed, setPointed] = useState<number>();
  const wanted = pointed ?? scene.chosen;
  const crowd = useMemo(() => pointOf(points, densestRow(points)), [points]);
  const frame = useMemo(() => frameAt(sigma, crowd), [crowd, sigma]);
  const noisy = useMemo(() => {
    const isSeen = (source: Float32Array | Float64Array): boolean => isWithin(frame, asPoint(source), 0.8);
    return noisySamples(points, { sigma, count: noisyPoints, isSeen });
  }, [points, sigma, frame]);
  const chosen = wanted === undefined ? undefined : Math.min(wanted, noisy.length - 1);
  const targets = useMemo(
    () => targetsOf(points, noisy, { sigma, n: references, draw }),
    [points, noisy, references, draw],
  );

  // The field: what both models make of the places of a grid, and of the noisy points for the figure below.
  const asked = useMemo(() => {
    const grid = gridOver(frame, perSide);
    const all = new Float64Array(grid.length + 2 * noisy.length);
    all.set(grid);
    noisy.forEach(({ at }, i) => all.set(at, grid.length + 2 * i));
    const exact = new Float64Array(all.length);
    for (let i = 0; i < all.length; i += 2) exact.set(exactMean(points, all.subarray(i, i + 2), sigma), i);
    return { grid, all, exact };
  }, [view === 'field' && points, noisy]);
  const answers = useAnswers(props, asked.all);
  const { shown, time } = useFlow(props);

  const paint = (side: Side) => (surface: Surface) => {
    clear(surface);
    if (view === 'targets') {
      if (side === 'stf' && chosen !== undefined) paintReferences(surface, points, targets[chosen].references);
      paintTargets(surface, { side, points, sigma, noisy, targets, chosen });
    } else if (view === 'field') {
      const { grid, exact } = asked;
      paintField(surface, { side, points, sigma, grid, exact, learned: answers?.[side] });
    }
    if (view !== 'samples') paintMagnification(surface, wholeCloud(sigma).halfWidth / frame.halfWidth);
    else if (shown) paintFlow(surface, points, side, shown, time);
  };
  const changes = [view, points, noisy, targets, chosen, asked, answers, shown, time, lessMotion];
  const paints: Both<(surface: Surface) => void> = {
    dsm: useCallback(paint('dsm'), changes),
    stf: useCallback(paint('stf'), changes),
  };

  const reading = (side: Side): string => {
    if (view === 'targets')
      return `Targets lie ${readable(rootMean(targets.map((each) => squaredDistance(each[side], each.exact))))} from their mean.`;
    if (view === 'samples') return readingOfFlow(shown, side);
    if (!answers) return 'Asking the model …';
    const from = asked.grid.length;
    const at = (values: Float64Array, i: number): Float64Array => values.subarray(from + 2 * i, from + 2 * i + 2);
    const away = rootMean(noisy.map((_, i) => squaredDistance(at(answers[side], i), at(asked.exact, i))));
    return `Answers lie ${readable(away)} from the exact mean.`;
  };
  const describe = (side: Side): string => {
    const level = `at noise level ${readable(sigma)}`;
    if (view === 'targets')
      return `${noisy.length} noisy points ${level}, with the ${nameOf(side)} target of each as an arrow`;
    if (view === 'field')
      return `The field that the ${nameOf(side)} model has learned ${level}, as arrows, above the exact one`;
    return `Samples of the ${nameOf(side)} model on their way from noise to data`;
  };

  const onPoint = (at: [number, number] | undefined, where: View): void => {
    const places = noisy.map((each) => toPixels(where, ...asPoint(each.at)));
    setPointed(at && view === 'targets' ? nearestWithin(places, at, 16) : undefined);
  };

  return <StagePair frame={frame} describe={describe} reading={reading} paints={paints} onPoint={onPoint} />;
}
