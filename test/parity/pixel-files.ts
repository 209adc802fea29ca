import { toUint8 } from '../../src/data/pixels.ts';
import { compare } from './check.ts';
import type { Checker } from './checker.ts';
import { field } from './folder.ts';
import type { Entry } from './folder.ts';

/** Sample values as pixels, exactly. */
export const pixelFiles: Checker = {
  recognises: (entry) => {
    const tensors = Object(field(entry, 'tensors')) as Entry;
    return Object.hasOwn(tensors, 'uint8') && Object.hasOwn(tensors, 'x');
  },

  check: ({ file }) =>
    Promise.resolve({ checks: [compare('uint8', toUint8(file.doubles('x')), file.get('uint8').data, 0)] }),
};
