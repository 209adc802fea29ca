import { expect, test } from 'vitest';
import * as library from '../../src/index.ts';

test('what training, objectives and imports are put together from can be had from the library', () => {
  const { augmentDimOf, checkReferences, denoiserFromPyTorch, isCheckpoint, passes, perSample } = library;
  for (const each of [augmentDimOf, checkReferences, denoiserFromPyTorch, isCheckpoint, passes, perSample])
    expect(each).toBeTypeOf('function');
  const { constructor, kwargs } = library.preconditioningForPyTorch({ kind: 'edm', sigmaData: 0.3 });
  expect(library.preconditioningFromPyTorch(constructor, kwargs)).toEqual({ kind: 'edm', sigmaData: 0.3 });
  expect(library.rangeNames).toEqual(['low', 'mid', 'high']);
});
