import { existsSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { beforeAll, expect, test } from 'vitest';

// What users compile: the built declarations, by the package's own name, under the strictest options that are in use.
const root = join(import.meta.dirname, '../..');
beforeAll(() => {
  const built = join(root, 'dist/src/index.d.ts');
  if (!existsSync(built)) throw new Error(`${built} is missing: build first (npm run build).`);
});

const user = `
import { generate, figureData, presets, toyDataset, train, trainingVectors } from 'stable-target-field';
import type { TrainingState } from 'stable-target-field';
import { nodeRuntime } from 'stable-target-field/node';

const runtime = nodeRuntime({ threads: 1 });
const options = presets['toy-2d'];
const states: TrainingState[] = [];
await train({
  runtime,
  dataset: toyDataset('twoMoons', { length: 100, seed: 0 }),
  options,
  observer: { checkpoint: async (state) => void states.push(state) },
});
const state = states[0]!;
const ema: Float32Array = state.vectors.ema;
const sizes: number[] = trainingVectors.map((name) => state.vectors[name].length);
const samples: Float32Array = await generate(runtime, options.denoiser, ema, [0], { ...options.samples, batch: 1 });
export { figureData, samples, sizes };
`;
const page = `
import { generate } from 'stable-target-field';
export * from 'stable-target-field/web';
export { generate };
`;

// The declarations of onnxruntime-common name types of the DOM, which are there unless `lib` leaves them out.
const lib = ['lib.es2022.d.ts', 'lib.dom.d.ts'];

/** What the compiler says of a program beside package.json. */
function complaints(source: string, types: string[]): string[] {
  const file = join(root, 'user-of-the-package.ts');
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    noEmit: true,
    strict: true,
    skipLibCheck: false,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    lib,
    types,
  };
  const host = ts.createCompilerHost(options);
  const own: ts.CompilerHost = {
    ...host,
    fileExists: (path) => path === file || host.fileExists(path),
    readFile: (path) => (path === file ? source : host.readFile(path)),
    getSourceFile: (path, target, ...rest) =>
      path === file ? ts.createSourceFile(path, source, target) : host.getSourceFile(path, target, ...rest),
  };
  const program = ts.createProgram([file], options, own);
  return ts
    .getPreEmitDiagnostics(program)
    .map((each) => `${each.file?.fileName ?? ''}: ${ts.flattenDiagnosticMessageText(each.messageText, '\n')}`);
}

test('the public types compile in Node with declarations checked', () => {
  expect(complaints(user, ['node'])).toEqual([]);
  expect(complaints(user.replace('.vectors.ema', '.vectors.average'), ['node'])).toEqual([
    expect.stringContaining("Property 'average' does not exist"),
  ]);
});

test('the public types compile in browsers with declarations checked', () => {
  expect(complaints(page, [])).toEqual([]);
});
