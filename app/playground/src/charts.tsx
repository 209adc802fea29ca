import type { JSX } from 'preact';
import { Chart, Values } from './chart.tsx';
import type { Band, ChartLine } from './chart.tsx';
import { smoothed } from './history.ts';
import type { History } from './history.ts';
import { sides } from './protocol.ts';
import { readable } from './scale.ts';
import { middleVariances } from './target-variance.ts';
import type { Variances } from './target-variance.ts';
import type { Training } from './trainer.ts';

const rangeOf = (sigmas: readonly number[]): [least: number, most: number] => [sigmas[0], sigmas[sigmas.length - 1]];

/** The three phases as parts of the axis of noise levels. */
function bandsOf({ sigmas, borders: { lower, upper } }: Variances): Band[] {
  const [least, most] = rangeOf(sigmas);
  const [from, to] = [lower ?? least, upper ?? most];
  return [
    { from: least, to: from, name: 'one source', isShaded: false },
    { from, to, name: 'many compete', isShaded: true },
    { from: to, to: most, name: 'all alike', isShaded: false },
  ];
}

const lines = (history: History, halfLife = 0): ChartLine[] =>
  sides.map((side) => ({
    side,
    x: history.steps,
    y: halfLife > 0 ? smoothed(history[side], halfLife) : history[side],
  }));

const last = (values: readonly number[] | undefined): string => {
  const value = values?.at(-1);
  return value === undefined ? '–' : readable(value);
};

/** What is measured: variance of targets, loss, distance of samples. */
export function Charts({
  trainer,
  sigma,
  isOfPictures,
}: {
  trainer: Training;
  sigma: number | undefined;
  isOfPictures: boolean;
}): JSX.Element {
  const measure = isOfPictures ? 'distance a pixel to the nearest picture' : 'sliced Wasserstein distance';
  const { variances, losses, distances } = trainer;
  const middle = variances && middleVariances(variances);
  const [loss, distance] = [lines(losses, 12), lines(distances)];
  return (
    <section class="charts" aria-label="Measurements">
      <Chart
        title="Variance of targets"
        meaning="How far targets lie from their mean, by noise level."
        description={
          middle
            ? `Variance of targets over noise levels. In the middle phase it is ${readable(middle.dsm)} for DSM and ${readable(middle.stf)} for STF.`
            : 'Variance of targets over noise levels'
        }
        xLabel="noise level σ"
        isLogX
        {...(variances && { xRange: rangeOf(variances.sigmas) })}
        lines={variances ? sides.map((side) => ({ side, x: variances.sigmas, y: variances[side] })) : []}
        bands={variances ? bandsOf(variances) : []}
        {...(sigma !== undefined && { marked: sigma })}
        empty="Measuring targets at every noise level …"
      >
        {middle && <Values dsm={readable(middle.dsm)} stf={readable(middle.stf)} unit="of σ², in the middle phase" />}
      </Chart>
      <Chart
        title="Loss"
        meaning="How far answers lie from their targets."
        description={`Loss over steps, now ${last(loss[0].y)} for DSM and ${last(loss[1].y)} for STF`}
        xLabel="step"
        isLogY
        lines={loss}
        empty="No step was taken yet. Press “Train both”."
      >
        {losses.steps.length > 0 && <Values dsm={last(loss[0].y)} stf={last(loss[1].y)} unit="smoothed" />}
      </Chart>
      <Chart
        title="Samples to data"
        meaning="How far samples are from the data: less is better."
        description={`How far samples are from the data over steps (${measure}), now ${last(distance[0].y)} for DSM and ${last(distance[1].y)} for STF`}
        xLabel="step"
        isLogY
        lines={distance}
        empty="Measured every 200 steps once training runs."
      >
        {distances.steps.length > 0 && <Values dsm={last(distance[0].y)} stf={last(distance[1].y)} unit={measure} />}
      </Chart>
    </section>
  );
}
