import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { Segments, Slider, ThemeSwitch } from '../../shared/components.tsx';
import { Charts } from './charts.tsx';
import { dataKey, datasetOf, isOfPictures, pointSets, sourcesOf } from './data-sets.ts';
import type { Data } from './data-sets.ts';
import { useCounter, useLessMotion, useSway } from './motion.ts';
import { PictureInput, useDroppedFiles, useOwnPictures } from './picture-input.tsx';
import { noisyPictures, PictureStages } from './picture-stages.tsx';
import { noisyPoints, PointStages } from './point-stages.tsx';
import { readable } from './scale.ts';
import { batchSizes, fitted, referenceSizes, start } from './settings.ts';
import { noiseLevels, sigmaRanges } from './target-variance.ts';
import { Tour } from './tour-card.tsx';
import { levelsFor } from './tour-levels.ts';
import { sceneOf, tourOf } from './tour.ts';
import type { Scene, ViewName } from './tour.ts';
import { useTrainer } from './trainer.ts';

/** Noise levels of the slider. */
const sigmas = { points: noiseLevels(sigmaRanges.points, 121), pictures: noiseLevels(sigmaRanges.pictures, 121) };
const nearestLevel = (levels: readonly number[], sigma: number): number =>
  levels.reduce(
    (best, each, i) => (Math.abs(Math.log(each / sigma)) < Math.abs(Math.log(levels[best] / sigma)) ? i : best),
    0,
  );
/** Milliseconds between two draws of targets. */
const redrawEvery = 650;

/** What the visitor has chosen to learn from: their own pictures may be chosen before there are any. */
type Choice = Exclude<Data, { kind: 'own' }> | { readonly kind: 'own' };
const choices: readonly (readonly [group: string, options: readonly (readonly [choice: Choice, name: string])[]])[] = [
  ['Points', pointSets.map(([name, text]) => [{ kind: 'points', name }, text] as const)],
  [
    'Pictures',
    [
      [{ kind: 'digits' }, 'Digits, 12 × 12 pixels'],
      [{ kind: 'own' }, 'Your own pictures'],
    ],
  ],
];
const keyOf = (choice: Choice): string => (choice.kind === 'own' ? 'own' : dataKey(choice));

export function App(): JSX.Element {
  const [settings, setSettings] = useState(start);
  const [choice, setChoice] = useState(keyOf(start.data as Choice));
  const { data } = settings;
  const kind = isOfPictures(data) ? 'pictures' : 'points';
  const { sources, shape, length, levels } = useMemo(() => prepared(data), [data]);
  const [tourStep, setTourStep] = useState<number | undefined>(0);
  const [scene, setScene] = useState<Scene>(() => sceneOf(0, isOfPictures(data), levels));
  const trainer = useTrainer(settings);
  const lessMotion = useLessMotion();
  const change = (part: Partial<Scene>): void => setScene((before) => ({ ...before, sways: false, ...part }));

  const goTo = (step: number | undefined): void => {
    setTourStep(step);
    if (step === undefined) return change({});
    const next = sceneOf(step, isOfPictures(data), levels);
    setScene(next);
    trainer.run(next.isTraining);
  };

  /** Learns from other data. A noise level means something else for them, so that the scene is set anew. */
  const learnFrom = (next: Data): void => {
    const other = prepared(next);
    setSettings((before) => fitted({ ...before, data: next }, other.length, length));
    if (!isOfPictures(next) && !isOfPictures(data)) return;
    const { sigma, redraws } = sceneOf(tourStep ?? 2, isOfPictures(next), other.levels);
    change({ sigma, redraws, chosen: tourStep === 2 || tourStep === 3 ? 0 : undefined });
  };
  const own = useOwnPictures();
  const addFiles = (files: readonly File[]): void => {
    setChoice('own');
    void own.add(files).then((pictures) => {
      if (!pictures) return;
      setChoice('own'); // another may have been chosen while they were read
      learnFrom({ kind: 'own', pictures, choice: ++ownChoices });
    });
  };
  useDroppedFiles(addFiles);
  const choose = (next: Choice): void => {
    setChoice(keyOf(next));
    if (next.kind !== 'own') learnFrom(next);
    else if (own.pictures.length > 0) learnFrom({ kind: 'own', pictures: own.pictures, choice: ++ownChoices });
  };

  const { view } = scene;
  const swayed = useSway(scene.sways && !lessMotion, scene.sigma, levels.middle, () => change({}));
  const seen = swayed === undefined ? scene : { ...scene, sigma: swayed };
  const [draw, drawAgain] = useCounter(view === 'targets' && scene.redraws && !lessMotion, redrawEvery);

  const noun = kind === 'points' ? 'point' : 'picture';
  const noisyCount = kind === 'points' ? noisyPoints : noisyPictures;
  const sizes = referenceSizes(length);
  const batches = batchSizes(length);
  const setReferences = (references: number): void =>
    setSettings((before) => ({ ...before, references, batch: Math.min(before.batch, references) }));
  const setBatch = (batch: number): void =>
    setSettings((before) => ({ ...before, batch, references: Math.max(before.references, batch) }));
  const Stages = kind === 'points' ? PointStages : PictureStages;

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
        <Tour tour={tourOf(isOfPictures(data))} step={tourStep} onStep={goTo} />
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
                ['field', kind === 'points' ? 'Learned field' : 'Denoised'],
                ['samples', 'Samples'],
              ]}
              value={view}
              onChange={(next: ViewName) => change({ view: next })}
            />
            <p class="muted legend">{legends[kind][view]}</p>
          </div>
          <div class="stage-grid">
            <Stages
              key={dataKey(data)}
              sources={sources}
              shape={shape}
              scene={seen}
              references={settings.references}
              draw={draw}
              trainer={trainer}
              lessMotion={lessMotion}
              onChoose={(chosen) => change({ chosen })}
            />
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
                <div class="data-choice">
                  <label class="field data-field">
                    <span>
                      Data set, {length} {noun}s
                    </span>
                    <select
                      value={choice}
                      onChange={(event) => {
                        const key = event.currentTarget.value;
                        choose(choices.flatMap(([, options]) => options).find(([each]) => keyOf(each) === key)![0]);
                      }}
                    >
                      {choices.map(([group, options]) => (
                        <optgroup key={group} label={group}>
                          {options.map(([each, text]) => (
                            <option key={keyOf(each)} value={keyOf(each)}>
                              {text}
                            </option>
                          ))}
                        </optgroup>
                      ))}
                    </select>
                  </label>
                  {choice === 'own' && (
                    <PictureInput
                      pictures={own.pictures}
                      faults={own.faults}
                      onFiles={addFiles}
                      onClear={() => {
                        own.clear();
                        choose({ kind: 'digits' });
                      }}
                    />
                  )}
                </div>
                <Slider
                  label="Noise level σ"
                  value={nearestLevel(sigmas[kind], seen.sigma)}
                  max={sigmas[kind].length - 1}
                  text={readable(seen.sigma)}
                  disabled={view === 'samples'}
                  onChange={(level) => change({ sigma: sigmas[kind][level] })}
                />
                <Slider
                  label="Reference batch n"
                  value={sizes.indexOf(settings.references)}
                  max={sizes.length - 1}
                  text={settings.references === length ? `all ${length}` : String(settings.references)}
                  onChange={(i) => setReferences(sizes[i])}
                />
                <Slider
                  label={kind === 'points' ? 'Points a step' : 'Pictures a step'}
                  value={batches.indexOf(settings.batch)}
                  max={batches.length - 1}
                  text={String(settings.batch)}
                  onChange={(i) => setBatch(batches[i])}
                />
                {view === 'targets' && (
                  <>
                    <Slider
                      label={`Look at ${noun}`}
                      value={scene.chosen === undefined ? 0 : Math.min(noisyCount, scene.chosen + 1)}
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
        <Charts
          trainer={trainer}
          sigma={view === 'samples' ? undefined : seen.sigma}
          isOfPictures={isOfPictures(data)}
        />
        <footer class="muted small">
          Everything is computed in this page: two perceptrons on ONNX Runtime, nothing is sent anywhere. The method is
          that of Xu, Tong and Jaakkola, “Stable Target Field for Reduced Variance Score Estimation in Diffusion Models”
          (ICLR 2023).
        </footer>
      </main>
    </>
  );
}

/** Number of the last set of own pictures, so that no two have the same. */
let ownChoices = 0;

/** What the page needs of data. */
function prepared(data: Data): {
  sources: ReturnType<typeof sourcesOf>;
  shape: readonly number[];
  length: number;
  levels: ReturnType<typeof levelsFor>;
} {
  const dataset = datasetOf(data);
  const sources = sourcesOf(dataset);
  const { sampleShape: shape, length } = dataset;
  return { sources, shape, length, levels: levelsFor(sources, isOfPictures(data)) };
}

const legends = {
  points: {
    targets: 'Dots in colour: data with noise. Arrows: targets. Grey: the mean of all targets.',
    field: 'Arrows: where the model leads at this noise level. Grey: where it should.',
    samples: 'Both start from the same noise and follow what their model says.',
  },
  pictures: {
    targets: 'In the frame: what training says is below the noise. Right: the mean of all that it could say.',
    field: 'In the frame: what the model makes of the noisy picture. Right: what it should.',
    samples: 'Both start from the same noise. Beside a sample: the picture of the data that is nearest.',
  },
} as const;
