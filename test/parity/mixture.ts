import type { GaussianMixture } from '../support/gaussian-mixture.ts';
import type { ParityFile } from './folder.ts';

/** The Gaussian mixture whose denoiser a file was made with. */
export const mixtureOf = (file: ParityFile): GaussianMixture => ({
  means: file.doubles('gmm_means'),
  weights: file.doubles('gmm_weights'),
  deviation: file.doubles('gmm_std')[0],
});
