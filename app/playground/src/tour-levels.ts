import { sigmaRanges, VarianceMeter } from './target-variance.ts';
import type { Sources } from './targets.ts';

/** Noise levels of the tour: a first look, near the data, in the middle phase. */
export interface TourLevels {
  readonly first: number;
  readonly near: number;
  readonly middle: number;
}

/** For points, whose data sets are all as wide. */
const pointLevels: TourLevels = { first: 0.12, near: 0.004, middle: 0.4 };

/** Noise levels for the tour through some data: those of pictures lie about the borders of the middle phase. */
export function levelsFor(sources: Sources, isOfPictures: boolean): TourLevels {
  if (!isOfPictures) return pointLevels;
  const meter = new VarianceMeter(sources, 1, sigmaRanges.pictures);
  // Borders move by a few percent from draw to draw; the tour needs them roughly, and at once.
  meter.draw(6);
  const { lower, upper } = meter.result().borders;
  const [from, to] = [lower ?? sigmaRanges.pictures.least, upper ?? sigmaRanges.pictures.most];
  // Further out than the middle between the borders, where only versions of one picture may compete.
  return { first: 0.7 * from, near: from / 3, middle: Math.max(Math.sqrt(from * to), to / 2.5) };
}
