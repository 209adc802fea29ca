import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { TourStep } from './tour.ts';

/** One step of the guided tour, and the way to the others; without a step, a button that begins it. */
export function Tour({
  tour,
  step,
  onStep,
}: {
  tour: readonly TourStep[];
  step: number | undefined;
  onStep: (step: number | undefined) => void;
}): JSX.Element {
  const title = useRef<HTMLHeadingElement>(null);
  const hasMoved = useRef(false);
  const go = (next: number | undefined): void => {
    hasMoved.current = true;
    onStep(next);
  };
  useEffect(() => {
    // Who goes on by keyboard or ear starts to read at the new title.
    if (hasMoved.current && step !== undefined) title.current?.focus({ preventScroll: true });
  }, [step]);
  if (step === undefined)
    return (
      <div class="tour-closed">
        <button type="button" onClick={() => go(0)}>
          Take the tour: the idea in five steps
        </button>
      </div>
    );
  const { title: text, text: paragraphs, hint } = tour[step];
  return (
    <section class="tour" aria-label="Guided tour">
      <ol class="tour-steps">
        {tour.map((each, i) => (
          <li key={each.title}>
            <button
              type="button"
              class="tour-dot"
              aria-label={`Step ${i + 1}: ${each.title}`}
              aria-current={i === step ? 'step' : undefined}
              onClick={() => go(i)}
            >
              {i + 1}
            </button>
          </li>
        ))}
      </ol>
      <div class="tour-text">
        <h2 ref={title} tabIndex={-1}>
          {text}
        </h2>
        {paragraphs.map((each) => (
          <p key={each}>{each}</p>
        ))}
        <p class="tour-hint">{hint}</p>
      </div>
      <div class="tour-buttons">
        <button type="button" disabled={step === 0} onClick={() => go(step - 1)}>
          Back
        </button>
        {step < tour.length - 1 ? (
          <button type="button" class="primary" onClick={() => go(step + 1)}>
            Next
          </button>
        ) : (
          <button type="button" class="primary" onClick={() => go(undefined)}>
            Explore freely
          </button>
        )}
        {step < tour.length - 1 && (
          <button type="button" class="quiet" onClick={() => go(undefined)}>
            Leave the tour
          </button>
        )}
      </div>
    </section>
  );
}
