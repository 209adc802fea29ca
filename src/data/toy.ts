import { UsageError } from '../errors.ts';
import { fillNormal, fillUniform, streams } from '../numerics/random.ts';
import { pointDataset, type Dataset } from './dataset.ts';

/**
 * Toy distributions. Each is a fixed distribution, not a fixed set: points are independent exact draws from it, point i
 * a function of (seed, i), so a longer set begins with the shorter one and another seed gives a fresh evaluation set.
 *
 * They are standardised with constants of the distribution, never of the sample: shifted to mean 0 and scaled by one
 * factor for all coordinates (the shape stays as it is) so that the variance averaged over the coordinates is 0.5^2,
 * the sigma_data of EDM's preconditioning (Karras et al. 2022, Table 1). A sample's own standard deviation therefore
 * differs from 0.5 by its sampling error.
 */
export const toyKinds = [
  'eightGaussians',
  'twoMoons',
  'checkerboard',
  'swissRoll',
  'twoGaussians',
  'sphere',
  'torus',
  'trefoil',
  'swissSheet',
] as const;

export type ToyKind = (typeof toyKinds)[number];

/** As the command line calls the sets: `eight-gaussians`. */
export type ToyName = KebabCase<ToyKind>;

type KebabCase<Text extends string> = Text extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `-${Lowercase<First>}`}${KebabCase<Rest>}`
  : '';

/** The name of a set on the command line, in names of folders and for people. */
export const toyName = (kind: ToyKind): ToyName =>
  kind.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`) as ToyName;

/** The set of a name, in either spelling; undefined where there is none. */
export const toyKindOf = (name: string): ToyKind | undefined =>
  toyKinds.find((kind) => kind === name || toyName(kind) === name);

export interface ToyOptions {
  /** number of points */
  length: number;
  /** integer in [0, 2^53); another seed is a fresh sample of the same distribution */
  seed: number;
  /** coordinates of a point; `twoGaussians` takes any and has 2 by default, the others have those of `toyDimensions` */
  dimension?: number;
}

/** Coordinates of the points of each set; undefined where any number will do. */
export const toyDimensions: Readonly<Record<ToyKind, number | undefined>> = {
  eightGaussians: 2,
  twoMoons: 2,
  checkerboard: 2,
  swissRoll: 2,
  twoGaussians: undefined,
  sphere: 3,
  torus: 3,
  trefoil: 3,
  swissSheet: 3,
};

/** The standard deviation per coordinate that all toy sets have. */
export const toyStandardDeviation = 0.5;

/** Draws one point into `out` (length `dimension`) from its own random numbers and returns its class. */
type DrawPoint = (random: PointRandom, out: Float64Array) => number;

interface PointRandom {
  /** two uniform numbers in [0, 1): place on the curve or the board, and which part */
  uniform: Float64Array;
  /** one standard normal number a coordinate */
  normal: Float64Array;
}

/**
 * A toy data set by name.
 *
 * @param name one of `toyKinds`, or as the command line calls it: `two-moons`
 * @returns    float32 points [length, dimension], mean 0, standard deviation 0.5 a coordinate
 * @throws UsageError for an unknown kind, or a length, seed or dimension outside its range
 */
export function toyDataset(name: ToyKind | ToyName, options: ToyOptions): Dataset {
  const kind = toyKindOf(name);
  switch (kind) {
    case 'eightGaussians':
      return eightGaussians(options);
    case 'twoMoons':
      return twoMoons(options);
    case 'checkerboard':
      return checkerboard(options);
    case 'swissRoll':
      return swissRoll(options);
    case 'twoGaussians':
      return twoGaussians(options);
    case 'sphere':
      return sphere(options);
    case 'torus':
      return torus(options);
    case 'trefoil':
      return trefoil(options);
    case 'swissSheet':
      return swissSheet(options);
    default:
      kind satisfies undefined;
      throw new UsageError(
        `toy data set: unknown name "${String(name)}". Choose one of: ${toyKinds.map(toyName).join(', ')}.`,
      );
  }
}

/** Radius and width of `eightGaussians`: width a tenth of the radius, r^2 / 2 + s^2 = 0.25. */
const ring = (() => {
  const radius = toyStandardDeviation / Math.sqrt(0.5 + 0.01);
  return { radius, width: radius / 10 };
})();

/**
 * Eight Gaussians with equal weights, centres on a circle of radius 0.700 at multiples of 45 degrees, standard deviation
 * 0.0700. The class is the number of the Gaussian, counter-clockwise from the positive x axis.
 */
export function eightGaussians(options: ToyOptions): Dataset {
  return shape('eightGaussians', 8, options, ({ uniform, normal }, out) => {
    const component = Math.floor(uniform[0] * 8);
    const angle = (component * Math.PI) / 4;
    out[0] = ring.radius * Math.cos(angle) + ring.width * normal[0];
    out[1] = ring.radius * Math.sin(angle) + ring.width * normal[1];
    return component;
  });
}

/** Width of `twoMoons` before scaling, and the scale. The moons' variances are 3/4 in x and 9/16 - 1/pi in y. */
const moons = (() => {
  const width = 0.1;
  const variance = (3 / 4 + (9 / 16 - 1 / Math.PI)) / 2 + width ** 2;
  return { width, scale: toyStandardDeviation / Math.sqrt(variance) };
})();

/**
 * Two interleaved half circles of radius 1, (cos t, sin t) and (1 - cos t, 1/2 - sin t) with t uniform in [0, pi), plus
 * normal noise of standard deviation 0.1 in each coordinate; then centred and scaled. The class is the moon.
 * Standard deviations 0.612 in x and 0.356 in y, averaging as the head of this file says.
 */
export function twoMoons(options: ToyOptions): Dataset {
  return shape('twoMoons', 2, options, ({ uniform, normal }, out) => {
    const moon = uniform[0] < 0.5 ? 0 : 1;
    const t = Math.PI * uniform[1];
    const x = moon === 0 ? Math.cos(t) : 1 - Math.cos(t);
    const y = moon === 0 ? Math.sin(t) : 0.5 - Math.sin(t);
    out[0] = moons.scale * (x - 0.5 + moons.width * normal[0]);
    out[1] = moons.scale * (y - 0.25 + moons.width * normal[1]);
    return moon;
  });
}

/** Half the side of the board: a uniform number of [-a, a) has variance a^2 / 3. */
const boardHalf = toyStandardDeviation * Math.sqrt(3);

/**
 * Uniform on the eight dark squares of a 4 x 4 board with corners at +-0.866. The class is the number of the square,
 * column by column from the left and upwards in a column; in even columns the lowest square is dark.
 */
export function checkerboard(options: ToyOptions): Dataset {
  return shape('checkerboard', 8, options, ({ uniform }, out) => {
    const column = uniform[0] * 4;
    const columnNumber = Math.floor(column);
    // Within the dark half of the column: number of the dark square (0 or 1) and height in it.
    const height = uniform[1] * 2;
    const square = Math.floor(height);
    const row = height + square + (columnNumber % 2);
    out[0] = boardHalf * (column / 2 - 1);
    out[1] = boardHalf * (row / 2 - 1);
    return 2 * columnNumber + square;
  });
}

/**
 * Moments of the spiral (t cos t, t sin t), t uniform in [1.5 pi, 4.5 pi): mean (2, 2 / (3 pi)) and
 * E[x^2 + y^2] = E[t^2] = 9.75 pi^2.
 */
const roll = (() => {
  const width = 0.5;
  const mean = [2, 2 / (3 * Math.PI)] as const;
  const variance = (9.75 * Math.PI ** 2 - mean[0] ** 2 - mean[1] ** 2) / 2 + width ** 2;
  return { width, mean, scale: toyStandardDeviation / Math.sqrt(variance) };
})();

/**
 * The swiss roll in the plane: the spiral (t cos t, t sin t) with t uniform in [1.5 pi, 4.5 pi) plus normal noise of
 * standard deviation 0.5 in each coordinate; then centred and scaled. No labels.
 */
export function swissRoll(options: ToyOptions): Dataset {
  return shape('swissRoll', 0, options, ({ uniform, normal }, out) => {
    const t = 1.5 * Math.PI * (1 + 2 * uniform[0]);
    out[0] = roll.scale * (t * Math.cos(t) - roll.mean[0] + roll.width * normal[0]);
    out[1] = roll.scale * (t * Math.sin(t) - roll.mean[1] + roll.width * normal[1]);
    return -1;
  });
}

/** The two modes of `twoGaussians`: centres at +-0.48 in every coordinate, width 0.14; 0.48^2 + 0.14^2 = 0.5^2. */
export const twoGaussiansModes = { centre: 0.48, width: 0.14 } as const;

/**
 * Two isotropic Gaussians with equal weights in any dimension d: centres -m and +m in every coordinate with m = 0.48,
 * standard deviation 0.14, so the modes are 0.96 sqrt(d) apart. Class 0 is the mode at -m, class 1 the one at +m.
 */
export function twoGaussians(options: ToyOptions): Dataset {
  return drawDataset('twoGaussians', 2, options, ({ uniform, normal }, out) => {
    const mode = uniform[0] < 0.5 ? 0 : 1;
    const centre = mode === 0 ? -twoGaussiansModes.centre : twoGaussiansModes.centre;
    for (let i = 0; i < out.length; i++) out[i] = centre + twoGaussiansModes.width * normal[i];
    return mode;
  });
}

/** Radius of `sphere`: r^2 / 3 = 0.25 in each coordinate. */
const sphereRadius = toyStandardDeviation * Math.sqrt(3);

/** Uniform on the surface of a sphere of radius 0.866 in space: z is uniform (Archimedes). No labels. */
export function sphere(options: ToyOptions): Dataset {
  return shape('sphere', 0, options, ({ uniform }, out) => {
    const z = 2 * uniform[0] - 1;
    const across = Math.sqrt(1 - z * z);
    out[0] = sphereRadius * across * Math.cos(2 * Math.PI * uniform[1]);
    out[1] = sphereRadius * across * Math.sin(2 * Math.PI * uniform[1]);
    out[2] = sphereRadius * z;
    return -1;
  });
}

/**
 * Radii of `torus` before scaling, of the ring and of the tube, and the scale. On the surface the angle a of the tube has
 * the density (R + r cos a) / (2 pi R), so that E[x^2 + y^2] = R^2 + 3 r^2 / 2 and E[z^2] = r^2 / 2.
 */
const doughnut = (() => {
  const [ring, tube] = [1, 0.4];
  return { ring, tube, scale: toyStandardDeviation / Math.sqrt((ring ** 2 + 2 * tube ** 2) / 3) };
})();

/** Uniform on the surface of a torus in space whose tube has 0.4 of the radius of its ring. No labels. */
export function torus(options: ToyOptions): Dataset {
  const { ring, tube, scale } = doughnut;
  return shape('torus', 0, options, ({ uniform }, out) => {
    const angle = tubeAngle(2 * Math.PI * uniform[0], tube / ring);
    const radius = scale * (ring + tube * Math.cos(angle));
    out[0] = radius * Math.cos(2 * Math.PI * uniform[1]);
    out[1] = radius * Math.sin(2 * Math.PI * uniform[1]);
    out[2] = scale * tube * Math.sin(angle);
    return -1;
  });
}

/** The angle a with a + ratio sin a = share, by halving [0, 2 pi] until float64 has no more digits. */
function tubeAngle(share: number, ratio: number): number {
  let [low, high] = [0, 2 * Math.PI];
  for (let i = 0; i < 53; i++) {
    const middle = (low + high) / 2;
    if (middle + ratio * Math.sin(middle) < share) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Width of `trefoil` before scaling, and the scale. The squares of the curve's coordinates average 5/2, 5/2 and 1/2. */
const knot = (() => {
  const width = 0.1;
  return { width, scale: toyStandardDeviation / Math.sqrt(5.5 / 3 + width ** 2) };
})();

/**
 * The trefoil knot in space, (sin t + 2 sin 2t, cos t - 2 cos 2t, -sin 3t) with t uniform in [0, 2 pi), plus normal noise
 * of standard deviation 0.1 in each coordinate; then scaled. No labels.
 */
export function trefoil(options: ToyOptions): Dataset {
  return shape('trefoil', 0, options, ({ uniform, normal }, out) => {
    const t = 2 * Math.PI * uniform[0];
    out[0] = Math.sin(t) + 2 * Math.sin(2 * t);
    out[1] = Math.cos(t) - 2 * Math.cos(2 * t);
    out[2] = -Math.sin(3 * t);
    for (let axis = 0; axis < 3; axis++) out[axis] = knot.scale * (out[axis] + knot.width * normal[axis]);
    return -1;
  });
}

/** Width of the sheet of `swissSheet`, and its scale: the spiral of `roll`, and a uniform number of that width. */
const rolledSheet = (() => {
  const depth = 21;
  const inPlane = 9.75 * Math.PI ** 2 - roll.mean[0] ** 2 - roll.mean[1] ** 2;
  return { depth, scale: toyStandardDeviation / Math.sqrt((inPlane + depth ** 2 / 12) / 3 + roll.width ** 2) };
})();

/**
 * The swiss roll in space: a sheet of width 21 rolled up to the spiral (t cos t, t sin t) in x and z, t uniform in
 * [1.5 pi, 4.5 pi), plus normal noise of standard deviation 0.5 in each coordinate; then centred and scaled. No labels.
 */
export function swissSheet(options: ToyOptions): Dataset {
  return shape('swissSheet', 0, options, ({ uniform, normal }, out) => {
    const t = 1.5 * Math.PI * (1 + 2 * uniform[0]);
    out[0] = t * Math.cos(t) - roll.mean[0];
    out[1] = rolledSheet.depth * (uniform[1] - 0.5);
    out[2] = t * Math.sin(t) - roll.mean[1];
    for (let axis = 0; axis < 3; axis++) out[axis] = rolledSheet.scale * (out[axis] + roll.width * normal[axis]);
    return -1;
  });
}

/** A set whose points have a number of coordinates of its own. */
function shape(name: ToyKind, classes: number, options: ToyOptions, draw: DrawPoint): Dataset {
  const dimension = toyDimensions[name]!;
  if (options.dimension !== undefined && options.dimension !== dimension)
    throw new UsageError(
      `toy data set ${toyName(name)}: dimension must be ${dimension}, got ${options.dimension}. two-gaussians takes any.`,
    );
  return drawDataset(name, classes, { ...options, dimension }, draw);
}

/** Step 0 of a point's stream holds its uniform numbers, step 1 its normal ones. */
function drawDataset(name: ToyKind, classes: number, options: ToyOptions, draw: DrawPoint): Dataset {
  const { length, seed, dimension = 2 } = options;
  if (!Number.isInteger(length) || length < 1 || length > 2 ** 32)
    throw new UsageError(
      `toy data set ${toyName(name)}: length must be an integer from 1 to ${2 ** 32}, got ${length}`,
    );
  if (!Number.isInteger(dimension) || dimension < 1)
    throw new UsageError(`toy data set ${toyName(name)}: dimension must be an integer of at least 1, got ${dimension}`);
  const points = new Float32Array(length * dimension);
  const labels = new Uint8Array(length);
  const random = { uniform: new Float64Array(2), normal: new Float64Array(dimension) };
  const point = new Float64Array(dimension);
  for (let sample = 0; sample < length; sample++) {
    fillUniform(random.uniform, { seed, stream: streams.toyData, step: 0, sample });
    fillNormal(random.normal, { seed, stream: streams.toyData, step: 1, sample });
    labels[sample] = draw(random, point);
    points.set(point, sample * dimension);
  }
  return pointDataset({
    name: toyName(name),
    points,
    dimension,
    ...(classes > 0 ? { labelled: { labels, classes } } : {}),
  });
}
