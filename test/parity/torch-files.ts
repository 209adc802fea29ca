import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { widenBfloat16, widenHalf } from '../../src/formats/half.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { readTorchCheckpoint } from '../../src/formats/torch-module.ts';
import { BadData, compare, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { field } from './folder.ts';

const entrySchema = z.looseObject({ expected_in: z.string(), bytes: z.number().optional() });

/** Types that the safetensors file keeps in wider ones. */
const kept: Readonly<Partial<Record<NamedTensor['dtype'], NamedTensor['dtype']>>> = {
  F16: 'F32',
  BF16: 'F32',
  BOOL: 'U8',
  I32: 'I64',
};

/**
 * Files of torch.save with a dict of tensors. What they hold is in a safetensors file of the folder, under a prefix that
 * is the part of the file's name which begins the names of tensors there.
 */
export const torchFiles: Checker = {
  recognises: (entry) => typeof field(entry, 'expected_in') === 'string' && field(entry, 'sha1') === undefined,

  check: ({ folder, file }) => {
    const { expected_in: where, bytes: length } = entrySchema.parse(file.entry);
    const expected = folder.file(where);
    if (!existsSync(file.path)) throw new BadData(`the manifest names ${file.name}, but there is no such file`);
    const bytes = readFileSync(file.path);
    if (length !== undefined && bytes.length !== length)
      throw new BadData(`${file.name} has ${bytes.length} bytes, its manifest says ${length}`);
    const prefixes = [...new Set(expected.names().map((name) => name.slice(0, name.indexOf('.'))))];
    const prefix = prefixes
      .filter((each) => file.name.includes(each))
      .reduce((longest, each) => (each.length > longest.length ? each : longest), '');
    if (prefix === '') throw new BadData(`${where} has no tensors for ${file.name}: it has ${prefixes.join(', ')}`);
    const tensors = expected.under(`${prefix}.`);
    const { state } = readTorchCheckpoint(new Uint8Array(bytes));
    if (!state) throw new BadData(`${file.name} holds no dict of tensors`);
    const checks: Check[] = [same('names', [...state.keys()].sort(), [...tensors.keys()].sort())];
    for (const [name, tensor] of tensors) {
      const ours = state.get(name);
      if (!ours) continue;
      checks.push(
        same(`shape of ${name}`, ours.shape, tensor.shape),
        same(`type of ${name}`, kept[ours.dtype] ?? ours.dtype, tensor.dtype),
        compare(name, widened(ours), tensor.data, 0),
      );
    }
    return Promise.resolve({ checks });
  },
};

function widened({ dtype, data }: NamedTensor): NamedTensor['data'] {
  if (!(data instanceof Uint16Array)) return data;
  return dtype === 'BF16' ? widenBfloat16(data) : widenHalf(data);
}
