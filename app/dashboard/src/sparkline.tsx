import type { JSX } from 'preact';

const [width, height] = [112, 28];

/** A curve without axes, on a logarithmic scale where it can be. */
export function Sparkline({
  values,
  color,
  label,
}: {
  values: readonly (number | null)[];
  color: string;
  label: string;
}): JSX.Element {
  const isLog = values.every((value) => value === null || value > 0);
  const shown = values.map((value) => (value === null ? null : isLog ? Math.log(value) : value));
  const known = shown.filter((value) => value !== null);
  if (known.length < 2) return <span class="muted small">–</span>;
  const [min, max] = [Math.min(...known), Math.max(...known)];
  const span = max - min || 1;
  const points = shown.flatMap((value, i) => {
    if (value === null) return [];
    const x = 2 + (i / (shown.length - 1)) * (width - 4);
    return [`${x.toFixed(1)},${(height - 3 - ((value - min) / span) * (height - 6)).toFixed(1)}`];
  });
  return (
    <svg class="spark" viewBox={`0 0 ${width} ${height}`} width={width} height={height} role="img" aria-label={label}>
      <polyline points={points.join(' ')} class={`stroke-${color}`} />
    </svg>
  );
}
