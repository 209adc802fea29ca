import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** What `stf sample` leaves in a folder beside the samples themselves, which are called by their seeds. */
export const sampleFiles = {
  /** What they were drawn with, and which are done. */
  record: 'sampling.json',
  grid: 'grid.png',
  points: 'points.csv',
  scatter: 'scatter.png',
  strip: 'trajectory.png',
  film: 'trajectory-animated.png',
} as const;

const overviews: readonly string[] = [sampleFiles.grid, sampleFiles.strip, sampleFiles.film];

/** Whether a picture in a folder shows many samples of `stf sample`, and is none: its record tells whose folder it is. */
export const isOverview = (folder: string, name: string): boolean =>
  overviews.includes(name) && existsSync(join(folder, sampleFiles.record));
