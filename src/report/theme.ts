/**
 * The one visual language of figures and dashboard: white paper, dark grey ink, thin rules, and one colour a role
 * that stays the same from figure to figure.
 */

/** What a mark stands for. The method is told by its colour everywhere. */
export type Role = 'data' | 'dsm' | 'stf' | 'samples';

/**
 * Colours of the roles, derived from the set of Okabe and Ito (2008). Each has a contrast of at least 3 : 1 on white
 * (WCAG 2.1, 1.4.11) and any two can be told apart with red-, green- or blue-blind eyes (test/report/theme.test.ts).
 */
export const roleColors: Readonly<Record<Role, string>> = {
  data: '#3d3d3d',
  dsm: '#d55e00',
  stf: '#0063ad',
  samples: '#1b9e83',
};

/** Everything that is not a mark. `ink` and `muted` are legible as small text (contrast of at least 4.5 : 1). */
export const palette = {
  paper: '#ffffff',
  ink: '#222222',
  muted: '#666666',
  axis: '#8c8c8c',
  grid: '#e8e8e8',
} as const;

/** Backgrounds of ranges along an axis, in the order in which they come: so light that every curve keeps its contrast. */
export const rangeTints = ['#eef4fb', '#fdf1e3', '#ecf5f0'] as const;

/** Inter is what raster images are drawn with (src/node/raster.ts); a browser without it takes its own. */
export const fontFamily = 'Inter, system-ui, -apple-system, "Segoe UI", sans-serif';

/** Sizes of text in pixels of a figure at scale 1. */
export const fontSizes = { title: 15, subtitle: 12, panel: 12, axis: 11, caption: 11 } as const;

/** Lengths in pixels at scale 1. */
export const spacing = {
  page: 18,
  panelGap: 18,
  panel: 300,
  line: 640,
  lineHeight: 300,
  smallLine: 366,
  smallLineHeight: 250,
} as const;

/** Width of curves in pixels at scale 1. */
export const strokeWidth = 1.75;

/** How one curve among several is drawn. */
export interface CurveStyle {
  color: string;
  /** SVG's stroke-dasharray; undefined for a full line. */
  dash?: string;
}

const curveOrder: readonly Role[] = ['stf', 'dsm', 'samples', 'data'];
const dashes: readonly (string | undefined)[] = [undefined, '6 3', '2 2.5', '8 3 2 3'];

/**
 * Styles of several curves in one figure: a curve with a role has its colour, the others take the four colours in
 * turn, and among curves of one colour the second is dashed, the third dotted, the fourth dash-dotted.
 */
export function curveStyles(roles: readonly (Role | undefined)[]): CurveStyle[] {
  const used = new Map<string, number>();
  let turn = 0;
  return roles.map((role) => {
    const color = roleColors[role ?? curveOrder[turn++ % curveOrder.length]];
    const before = used.get(color) ?? 0;
    used.set(color, before + 1);
    const dash = dashes[before % dashes.length];
    return dash === undefined ? { color } : { color, dash };
  });
}
