import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Empty } from '../../shared/components.tsx';
import type { ShownRun } from './shown-run.ts';

/** Options as rows `path: value`, nested names joined by dots. */
export function flatOptions(value: unknown, path = ''): Map<string, string> {
  const isPlain = typeof value !== 'object' || value === null || Array.isArray(value);
  if (isPlain) return new Map([[path, typeof value === 'string' ? value : JSON.stringify(value)]]);
  return new Map(
    Object.entries(value).flatMap(([name, each]) => [...flatOptions(each, path === '' ? name : `${path}.${name}`)]),
  );
}

/** Options of runs side by side; those that differ are marked. */
export function Options({ runs }: { runs: readonly ShownRun[] }): JSX.Element {
  const [onlyDifferent, setOnlyDifferent] = useState(false);
  const known = runs.filter(({ detail }) => detail.options !== null);
  if (known.length === 0) {
    return (
      <Empty title="No options to show">
        <p>
          The folder has no readable options.json. A run writes it when it starts; copy it along with the rest of the
          folder.
        </p>
      </Empty>
    );
  }
  const flat = known.map(({ detail }) => flatOptions(detail.options));
  const names = [...new Set(flat.flatMap((options) => [...options.keys()]))];
  const rows = names.map((name) => {
    const values = flat.map((options) => options.get(name));
    return { name, values, differs: values.some((value) => value !== values[0]) };
  });
  const different = rows.filter(({ differs }) => differs).length;
  const shown = onlyDifferent ? rows.filter(({ differs }) => differs) : rows;
  return (
    <>
      {known.length > 1 && (
        <div class="controls">
          <label class="check">
            <input
              type="checkbox"
              checked={onlyDifferent}
              onChange={(event) => setOnlyDifferent(event.currentTarget.checked)}
            />
            Only what differs
          </label>
          <span class="muted small">
            {different === 0 ? 'All options are the same' : `${different} of ${rows.length} options differ`}
          </span>
        </div>
      )}
      <div class="table-box" tabIndex={0} role="region" aria-label="Options">
        <table class="options">
          <thead>
            <tr>
              <th scope="col">Option</th>
              {known.map((run) => (
                <th scope="col" key={run.summary.id}>
                  {known.length > 1 && <i class={`swatch bg-${run.color}`} aria-hidden="true" />} {run.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map(({ name, values, differs }) => (
              <tr key={name} class={differs ? 'differs' : ''}>
                <th scope="row">
                  {name}
                  {differs && <span class="hidden-visually"> (differs)</span>}
                </th>
                {values.map((value, i) => (
                  <td key={known[i].summary.id}>{value ?? <span class="muted">not set</span>}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
