import type { JSX } from 'preact';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Segments, Slider, ThemeSwitch } from '../../shared/components.tsx';
import { Charts } from './charts.tsx';
import { dataLength, dataSets, datasetOf, pointsOf } from './data-sets.ts';
import type { DataName } from './data-sets.ts';
import { useCounter, useFlowTime, useLessMotion } from './motion.ts';
import { clear, paintField, paintFlow, paintMagnification, paintReferences, paintTargets } from './paint.ts';
import type { Surface } from './paint.ts';
import { sides } from './protocol.ts';
import type { Both, Flow, Settings, Side } from './protocol.ts';
import { readable } from './scale.ts';
import { Stage } from './stage.tsx';
import { noiseLevels } from './target-variance.ts';
import { densestRow, exactMean, noisyPoints, pointOf, squaredDistance, targetsOf } from './targets.ts';
import type { Point } from './targets.ts';
import { Tour } from './tour-card.tsx';
import { tour } from './tour.ts';
import type { Scene, ViewName } from './tour.ts';
import { useTrainer } from './trainer.ts';
import { frameAt, gridOver, isWithin, nearestWithin, toPixels, wholeCloud } from './view.ts';
import type { View } from './view.ts';

/** Noise levels of the slider. */
const sigmas = noiseLevels(121);
const nearestLevel = (sigma: number): number =>
  sigmas.reduce(
    (best, each, i) => (Math.abs(Math.log(each / sigma)) < Math.abs(Math.log(sigmas[best] / sigma)) ? i : best),
    0,
  );
/** Sizes of batch and reference batch. */
const sizes = [8, 16, 32, 64, 128, 256, 512];
const batches = sizes.filter((size) => size <= 256);
/** Noisy points on the stage, and arrows on a side of a field. */
const [noisyCount, perSide] = [40, 17];
/** Milliseconds between two draws of targets. */
const redrawEvery = 650;

const start: Settings = { data: 'eightGaussians', batch: 32, references: 128, seed: 0 };

export function App(): JSX.Element {
  const [settings, setSettings] = useState(start);
  const [tourStep, setTourStep] = useState<number | undefined>(0);
  const [scene, setScene] = useState<Scene>(tour[0].scene);
  const trainer = useTrainer(settings);
  const lessMotion = useLessMotion();
  const change = (part: Partial<Scene>): void => setScene((before) => ({ ...before, ...part }));

  const goTo = (step: number | undefined): void => {
    setTourStep(step);
    if (step === undefined) return;
    setScene(tour[step].scene);
    trainer.run(tour[step].scene.isTraining);
  };

  const points = useMemo(() => pointsOf(datasetOf(settings.data)), [settings.data]);
  const { sigma, view } = scene;
  // The point under the pointer comes before the one that was chosen.
  const [pointed, setPointed] = useState<number>();
  const wanted = pointed ?? scene.chosen;
  const crowd = useMemo(() => pointOf(points, densestRow(points)), [points]);
  const frame = useMemo(() => frameAt(sigma, crowd), [crowd, sigma]);
  const noisy = useMemo(
    () => noisyPoints(points, { sigma, count: noisyCount, isSeen: (source) => isWithin(frame, source, 0.8) }),
    [points, sigma, frame],
  );

  const chosen = wanted === undefined ? undefined : Math.min(wanted, noisy.length - 1);

  const [draw, drawAgain] = useCounter(view === 'targets' && scene.redraws && !lessMotion, redrawEvery);
  const targets = useMemo(
    () => targetsOf(points, noisy, { sigma, n: settings.references, draw }),
    [points, noisy, settings.references, draw],
  );

  // The field: what both models make of the places of a grid, and of the noisy points for the figure below.
  const asked = useMemo(() => {
    const grid = gridOver(frame, perSide);
    const all = new Float64Array(grid.length + 2 * noisy.length);
    all.set(grid);
    noisy.forEach(({ at }, i) => all.set(at, grid.length + 2 * i));
    const exact = new Float64Array(all.length);
    for (let i = 0; i < all.length; i += 2) exact.set(exactMean(points, [all[i], all[i + 1]], sigma), i);
    return { grid, all, exact };
  }, [view === 'field' && points, noisy]);
  const [learned, setLearned] = useState<{ values: Both<Float64Array>; all: Float64Array }>();
  useEffect(() => {
    if (view !== 'field' || trainer.status !== 'ready') return;
    void trainer.denoise(asked.all, sigma).then((values) => values && setLearned({ values, all: asked.all }));
  }, [view, asked, trainer.step, trainer.status]);
  const answers = learned?.all === asked.all ? learned.values : undefined;

  // Samples: those that are shown are kept until they have arrived.
  const [shown, setShown] = useState<Flow>();
  const latest = useRef<Flow | undefined>(undefined);
  latest.current = trainer.flow;
  const time = useFlowTime(view === 'samples' && shown !== undefined && !lessMotion, () => setShown(latest.current));
  useEffect(() => {
    if (view === 'samples' && trainer.status === 'ready' && trainer.flow === undefined) trainer.drawFlow();
    // While training runs the worker draws some now and then.
    else if (view === 'samples' && !trainer.isRunning && trainer.flow && trainer.flow.step < trainer.step)
      trainer.drawFlow();
    if (trainer.flow === undefined) setShown(undefined);
    else if (shown === undefined || lessMotion) setShown(trainer.flow);
  }, [view, trainer.status, trainer.flow, trainer.isRunning, trainer.step, lessMotion]);

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
    else if (shown) paintFlow(surface, points, side, shown, lessMotion ? 1 : time);
  };
  const changes = [view, points, noisy, targets, chosen, asked, answers, shown, time, lessMotion];
  const paints: Both<(surface: Surface) => void> = {
    dsm: useCallback(paint('dsm'), changes),
    stf: useCallback(paint('stf'), changes),
  };

  const reading = (side: Side): string => {
    const root = (squares: readonly number[]): string =>
      readable(Math.sqrt(squares.reduce((a, b) => a + b, 0) / squares.length));
    if (view === 'targets')
      return `Targets lie ${root(targets.map((each) => squaredDistance(each[side], each.exact)))} from their mean.`;
    if (view === 'field') {
      if (!answers) return 'Asking the model …';
      const from = asked.grid.length;
      const at = (values: Float64Array, i: number): Point => [values[from + 2 * i], values[from + 2 * i + 1]];
      return `Answers lie ${root(noisy.map((_, i) => squaredDistance(at(answers[side], i), at(asked.exact, i))))} from the exact mean.`;
    }
    return shown
      ? `After ${shown.step.toLocaleString('en')} steps, ${readable(shown.distance[side])} from the data (sliced Wasserstein).`
      : 'Drawing samples …';
  };
  const describe = (side: Side): string => {
    const of = side === 'dsm' ? 'DSM' : 'STF';
    const level = `at noise level ${readable(sigma)}`;
    if (view === 'targets') return `${noisy.length} noisy points ${level}, with the ${of} target of each as an arrow`;
    if (view === 'field') return `The field that the ${of} model has learned ${level}, as arrows, above the exact one`;
    return `Samples of the ${of} model on their way from noise to data`;
  };

  const onPoint = (at: [number, number] | undefined, where: View): void => {
    const places = noisy.map((each) => toPixels(where, ...each.at));
    setPointed(at && view === 'targets' ? nearestWithin(places, at, 16) : undefined);
  };

  const setReferences = (references: number): void =>
    setSettings((before) => ({ ...before, references, batch: Math.min(before.batch, references) }));
  const setBatch = (batch: number): void =>
    setSettings((before) => ({ ...before, batch, references: Math.max(before.references, batch) }));

  return (
    <>
      <header class="top">
        <a class="skip" href="#stage">
          Skip to the stage
        </a>
        <h1 class="brand">
          <svg class="mark" width="22" height="22" viewBox="0 0 22 22" aria-hidden="true">
            <path class="mark-dsm" d="M2 17c3-1 3-9 6-7s3-6 6-4 3-3 6-3" />
            <path class="mark-stf" d="M2 19c7 0 8-12 18-13" />
          </svg>
          Stable target field <span class="muted">playground</span>
        </h1>
        <ThemeSwitch />
      </header>
      <main>
        <Tour step={tourStep} onStep={goTo} />
        {trainer.status === 'failed' && (
          <div class="note bad" role="alert">
            Training stopped: {trainer.message}.{' '}
            <button type="button" onClick={trainer.reset}>
              Start again
            </button>
          </div>
        )}
        <section id="stage" tabIndex={-1} aria-label="Stage" class="stage-area">
          <div class="bar">
            <Segments
              label="What the stage shows"
              options={[
                ['targets', 'Targets'],
                ['field', 'Learned field'],
                ['samples', 'Samples'],
              ]}
              value={view}
              onChange={(next: ViewName) => change({ view: next })}
            />
            <p class="muted legend">{legends[view]}</p>
          </div>
          <div class="stage-grid">
            <div class="stages">
              {sides.map((side) => (
                <Stage
                  key={side}
                  side={side}
                  frame={frame}
                  description={describe(side)}
                  reading={reading(side)}
                  paint={paints[side]}
                  onPoint={onPoint}
                />
              ))}
            </div>
            <div class="controls">
              <div class="control-row training" role="group" aria-label="Training">
                <button
                  type="button"
                  class="primary"
                  disabled={trainer.status !== 'ready'}
                  onClick={() => trainer.run(!trainer.isRunning)}
                >
                  {trainer.isRunning ? 'Pause training' : trainer.step > 0 ? 'Go on training' : 'Train both'}
                </button>
                <button
                  type="button"
                  disabled={trainer.status !== 'ready' || trainer.isRunning}
                  onClick={() => trainer.steps(100)}
                >
                  100 steps
                </button>
                <output class="steps" aria-label="Steps trained">
                  {trainer.status === 'starting'
                    ? 'Building two networks …'
                    : `Step ${trainer.step.toLocaleString('en')}`}
                  {trainer.isRunning && trainer.stepsPerSecond > 0 && (
                    <span class="muted"> · {Math.round(trainer.stepsPerSecond)} a second</span>
                  )}
                </output>
                <button type="button" class="quiet" disabled={trainer.step === 0} onClick={trainer.reset}>
                  Start over
                </button>
              </div>
              <div class="control-grid">
                <label class="field data-field">
                  <span>Data set, {dataLength} points</span>
                  <select
                    value={settings.data}
                    onChange={(event) => {
                      const data = event.currentTarget.value as DataName;
                      setSettings((before) => ({ ...before, data }));
                    }}
                  >
                    {dataSets.map(([name, text]) => (
                      <option key={name} value={name}>
                        {text}
                      </option>
                    ))}
                  </select>
                </label>
                <Slider
                  label="Noise level σ"
                  value={nearestLevel(sigma)}
                  max={sigmas.length - 1}
                  text={readable(sigma)}
                  disabled={view === 'samples'}
                  onChange={(level) => change({ sigma: sigmas[level] })}
                />
                <Slider
                  label="Reference batch n"
                  value={sizes.indexOf(settings.references)}
                  max={sizes.length - 1}
                  text={settings.references === dataLength ? 'all 512' : String(settings.references)}
                  onChange={(i) => setReferences(sizes[i])}
                />
                <Slider
                  label="Points a step"
                  value={batches.indexOf(settings.batch)}
                  max={batches.length - 1}
                  text={String(settings.batch)}
                  onChange={(i) => setBatch(batches[i])}
                />
                {view === 'targets' && (
                  <>
                    <Slider
                      label="Look at point"
                      value={scene.chosen === undefined ? 0 : scene.chosen + 1}
                      max={noisyCount}
                      text={scene.chosen === undefined ? 'none' : String(scene.chosen + 1)}
                      onChange={(i) => change({ chosen: i === 0 ? undefined : i - 1 })}
                    />
                    <div class="control-row">
                      <button type="button" onClick={drawAgain}>
                        Draw again
                      </button>
                      {!lessMotion && (
                        <button
                          type="button"
                          aria-pressed={scene.redraws}
                          onClick={() => change({ redraws: !scene.redraws })}
                        >
                          {scene.redraws ? 'Stop drawing' : 'Keep drawing'}
                        </button>
                      )}
                    </div>
                  </>
                )}
              </div>
            </div>
          </div>
        </section>
        <Charts trainer={trainer} sigma={view === 'samples' ? undefined : sigma} />
        <footer class="muted small">
          Everything is computed in this page: two perceptrons on ONNX Runtime, nothing is sent anywhere. The method is
          that of Xu, Tong and Jaakkola, “Stable Target Field for Reduced Variance Score Estimation in Diffusion Models”
          (ICLR 2023).
        </footer>
      </main>
    </>
  );
}

const legends = {
  targets: 'Dots in colour: data with noise. Arrows: targets. Grey: the mean of all targets.',
  field: 'Arrows: where the model leads at this noise level. Grey: where it should.',
  samples: 'Both start from the same noise and follow what their model says.',
} as const;
