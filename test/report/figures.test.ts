import { describe, expect, test } from 'vitest';
import { ShapeError, UsageError } from '../../src/errors.ts';
import { svgToPng } from '../../src/node/raster.ts';
import { lineFigure } from '../../src/report/line-figure.ts';
import { scatterFigure, type ScatterPanel } from '../../src/report/scatter.ts';
import { roleColors } from '../../src/report/theme.ts';

/** The paths drawn in a colour, each as its list of [x, y]. */
function paths(svg: string, color: string): [number, number][][] {
  const drawn: [number, number][][] = [];
  const groups = svg.matchAll(new RegExp(`<g[^>]*stroke="${color}"[^>]*>(.*?)</g>`, 'g'));
  for (const [, group] of groups) {
    for (const [, d] of group.matchAll(/ d="([^"]+)"/g)) {
      drawn.push([...d.matchAll(/(-?[\d.]+),(-?[\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]));
    }
  }
  return drawn;
}

/** Coordinates are rounded to 1/100 pixel, so a difference of two errs by at most that. */
const pixel = 0.011;

describe('scatterFigure', () => {
  const corners = Float32Array.of(0, 0, 1, 0, 0, 0.5);
  const panels: ScatterPanel[] = [
    { title: 'Data', kind: 'data', points: corners },
    { title: 'STF', kind: 'stf', points: corners },
  ];

  test('both axes have one scale, and all panels the same', () => {
    const svg = scatterFigure({ panels });
    const inPanel = (['data', 'stf'] as const).map((kind) => paths(svg, roleColors[kind]).flat());
    for (const [origin, right, up] of inPanel) {
      expect(right[0] - origin[0]).toBeGreaterThan(100);
      expect(right[1]).toBe(origin[1]);
      expect(up[0]).toBe(origin[0]);
      expect(Math.abs(origin[1] - up[1] - 0.5 * (right[0] - origin[0]))).toBeLessThan(pixel);
    }
    const size = inPanel.map((points) => points[1][0] - points[0][0]);
    expect(Math.abs(size[0] - size[1])).toBeLessThan(pixel);
    expect(svg).not.toContain('class="caption"');
  });

  test('a stray sample does not shrink the picture, and the caption tells of it', () => {
    const stray = Float32Array.of(...corners, 1e6, 0, NaN, 0);
    const svg = scatterFigure({ panels: [panels[0], { title: 'STF', kind: 'stf', points: stray }] });
    expect(paths(svg, roleColors.stf).flat()).toHaveLength(3);
    expect(svg).toContain('Outside the frame: 1 (STF). Not finite: 1 (STF).');
  });

  test('fifty thousand points become what can be seen, the same ones each time', () => {
    // Golden-angle spiral: uniform on the disc without random numbers; then the same packed 30 times denser.
    const spiral = (radius: number): Float32Array =>
      Float32Array.from({ length: 100_000 }, (_, i) => {
        const n = i >> 1;
        const r = radius * Math.sqrt(n / 50_000);
        return i % 2 === 0 ? r * Math.cos(2.399963 * n) : r * Math.sin(2.399963 * n);
      });
    const figure = (): string =>
      scatterFigure({
        domain: [-1, 1],
        panels: [
          { title: 'wide', kind: 'dsm', points: spiral(1) },
          { title: 'dense', kind: 'stf', points: spiral(0.18) },
        ],
      });
    const svg = figure();
    expect(figure()).toBe(svg);
    // 50,000 points on pi 150^2 = 70,686 square pixels are 1.6 for a cell of 1.5 x 1.5, below the limit of 8: all stay.
    expect(paths(svg, roleColors.dsm).flat()).toHaveLength(50_000);
    // On pi 27^2 = 2,290 square pixels there are 1,018 cells, and about a cell's half more along the rim of 170 pixels:
    // at most 8 (1,018 + 170) = 9,504 are drawn, at least 8 times the cells wholly inside, 8 (1,018 - 170) = 6,784.
    const dense = paths(svg, roleColors.stf).flat().length;
    expect(dense).toBeGreaterThan(6784);
    expect(dense).toBeLessThan(9504);
    expect(svg).toContain(`drawn are ${String(dense).replace(/(\d{3})$/, ',$1')} of 50,000 (dense).`);
    expect(svg.length).toBeLessThan(1.5e6);
  });

  test('refuses what cannot be drawn', () => {
    const panel = { title: 'A', kind: 'data' } as const;
    expect(() => scatterFigure({ panels: [] })).toThrow(UsageError);
    expect(() => scatterFigure({ panels: [{ ...panel, points: new Float32Array(3) }] })).toThrow(ShapeError);
    expect(() => scatterFigure({ panels: [{ ...panel, points: Float32Array.of(NaN, 1) }] })).toThrow('no finite point');
    expect(() => scatterFigure({ panels, domain: [1, 1] })).toThrow('domain must be [low, high]');
    expect(() => scatterFigure({ panels, columns: 0 })).toThrow('columns must be a whole number of at least 1, got 0');
  });
});

describe('lineFigure', () => {
  const axes = { xLabel: 'kimg', yLabel: 'loss' };

  test('a logarithmic axis gives equal ratios equal heights', () => {
    const svg = lineFigure({
      ...axes,
      logY: true,
      series: [{ name: 'a', x: [0, 1, 2, 3], y: [1e-3, 1e-2, 1e-1, 1], kind: 'dsm' }],
    });
    const [line] = paths(svg, roleColors.dsm);
    const steps = [1, 2, 3].map((i) => line[i - 1][1] - line[i][1]);
    for (const step of steps) expect(Math.abs(step - steps[0])).toBeLessThan(2 * pixel);
    expect(steps[0]).toBeGreaterThan(40);
  });

  test('a linear axis of positive values begins at zero', () => {
    const svg = lineFigure({ ...axes, series: [{ name: 'a', x: [0, 1], y: [1, 2], kind: 'dsm' }] });
    const [[first, second]] = paths(svg, roleColors.dsm) as [[[number, number], [number, number]]];
    // Twice the value is twice as high above the axis, which lies 40 pixels above the lower end at 300.
    expect(Math.abs(260 - second[1] - 2 * (260 - first[1]))).toBeLessThan(3 * pixel);
  });

  test('a value that cannot be drawn leaves a gap and is told', () => {
    const svg = lineFigure({
      ...axes,
      logY: true,
      series: [{ name: 'a', x: [0, 1, 2, 3, 4, Infinity], y: [1, 2, 0, NaN, 3, 4], kind: 'dsm' }],
    });
    expect(paths(svg, roleColors.dsm)[0]).toHaveLength(3);
    expect(svg).toContain('a: 3 of 6 values are not finite or not positive and leave a gap.');
  });

  test('several curves have a legend; one has none', () => {
    const series = ['first', 'second'].map((name) => ({ name, x: [0, 1], y: [1, 2] }));
    expect(lineFigure({ ...axes, series })).toMatch(/class="legend"[^>]*>first<.*class="legend"[^>]*>second</);
    expect(lineFigure({ ...axes, series: series.slice(1) })).not.toContain('class="legend"');
  });

  test('refuses what cannot be drawn', () => {
    expect(() => lineFigure({ ...axes, series: [] })).toThrow(UsageError);
    expect(() => lineFigure({ ...axes, series: [{ name: 'a', x: [1], y: [] }] })).toThrow(ShapeError);
    expect(() => lineFigure({ ...axes, series: [{ name: 'a', x: [1], y: [NaN] }] })).toThrow(UsageError);
  });
});

test('figures are standalone documents: strict XML with white paper, whatever the texts', () => {
  const text = `a < b & "c" 'd' </text> σ² \u00a0`;
  const scatter = scatterFigure({
    title: text,
    subtitle: text,
    panels: [{ title: text, kind: 'data', points: Float32Array.of(0, 0, 1, NaN) }],
  });
  const series = [1, 2].map((y) => ({ name: text, x: [0], y: [y] }));
  const curves = lineFigure({ title: text, xLabel: text, yLabel: text, series });
  for (const svg of [scatter, curves]) {
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" width="\d+" height="\d+"/);
    expect(svg).toMatch(/<rect width="\d+" height="\d+" fill="#ffffff"\/>/);
    expect(() => svgToPng(svg)).not.toThrow(); // its parser is a strict one
    expect(svg).not.toMatch(/ (d|transform|x|y|cx|cy|x1|y1)="[^"]*\.\d{3}/); // coordinates in 1/100 pixel
  }
});
