import { fillNormal, fillUniform, streams } from '../../numerics/random.ts';
import { transformNames } from './config.ts';
import type { TransformName } from './config.ts';

/** What a random number is: uniform in [0, 1), standard normal, or an integer below 2 or 4 with equal chances. */
export type DrawKind = 'uniform' | 'normal' | 'integer2' | 'integer4';

/** The random numbers of one transform. */
export interface TransformDraws {
  /** Their kinds: of the parameters, then of the number that decides whether it happens. */
  readonly kinds: readonly DrawKind[];
  /** Which of them decides. */
  readonly deciding: number;
  /** Where they begin among those of all transforms. */
  readonly start: number;
}

const kindsOf: Readonly<Record<TransformName, readonly DrawKind[]>> = {
  xFlip: ['integer2', 'uniform'],
  yFlip: ['integer2', 'uniform'],
  rotateInt: ['integer4', 'uniform'],
  translateInt: ['uniform', 'uniform', 'uniform'],
  scale: ['normal', 'uniform'],
  rotateFrac: ['uniform', 'uniform'],
  // Size and direction of the stretch, whether it happens, and whether along that direction.
  aniso: ['normal', 'uniform', 'uniform', 'uniform'],
  translateFrac: ['normal', 'normal', 'uniform'],
  brightness: ['normal', 'uniform'],
  contrast: ['normal', 'uniform'],
  lumaFlip: ['integer2', 'uniform'],
  hue: ['uniform', 'uniform'],
  saturation: ['normal', 'uniform'],
};

/** What each transform draws. */
export const transformDraws = ((): Readonly<Record<TransformName, TransformDraws>> => {
  let start = 0;
  const entries = transformNames.map((name) => {
    const kinds = kindsOf[name];
    const draws = { kinds, deciding: name === 'aniso' ? 2 : kinds.length - 1, start };
    start += kinds.length;
    return [name, draws] as const;
  });
  return Object.fromEntries(entries) as Record<TransformName, TransformDraws>;
})();

const allKinds = transformNames.flatMap((name) => kindsOf[name]);

/** Random numbers of all transforms together. */
export const drawCount = allKinds.length;

const placesOf = (kind: DrawKind): number[] => Array.from(allKinds.keys()).filter((place) => allKinds[place] === kind);
const normalPlaces = placesOf('normal');
const integerPlaces = [
  ...placesOf('integer2').map((place) => ({ place, below: 2 })),
  ...placesOf('integer4').map((place) => ({ place, below: 4 })),
];

/** Normal numbers are made of other bits than uniform ones: their elements come after those. */
const firstNormal = 32;

/**
 * The random numbers of the augmentation of one sample of a training step, for every transform whether it is used or not:
 * adding one shifts no other. Uniform and normal numbers are float32, as those of the official code.
 *
 * @returns [drawCount]
 */
export function augmentationDraws(address: { seed: number; step: number; sample: number }): Float32Array {
  const at = { ...address, stream: streams.augmentation };
  const draws = new Float32Array(drawCount);
  fillUniform(draws, at);
  const normals = new Float32Array(normalPlaces.length);
  fillNormal(normals, at, firstNormal);
  for (const { place, below } of integerPlaces) draws[place] = Math.floor(draws[place] * below);
  normalPlaces.forEach((place, i) => {
    draws[place] = normals[i];
  });
  return draws;
}
