import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
const configFile = join(root, '.dependency-cruiser.cjs');
const { forbidden } = createRequire(import.meta.url)(configFile) as { forbidden: { name: string }[] };
const ruleNames = forbidden.map((rule) => rule.name);
/** Every room but the topmost has a rule of its own, named after it. */
const roomRule = '-imports-only-downwards';
const cruiser = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');

describe('import directions', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'stf-imports-'));
    cpSync(configFile, join(folder, '.dependency-cruiser.cjs'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  function write(path: string, text: string): void {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }

  /** Runs what `npm run imports` runs; gives its exit code and the broken rules as `rule: importing file`, sorted. */
  function check(): { status: number | null; broken: string[] } {
    const { status, stdout } = spawnSync(process.execPath, [cruiser, '--output-type', 'err', '.'], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, NO_COLOR: '1' },
    });
    const broken = [...stdout.matchAll(/^ *error (\S+): (\S+)/gm)].map(([, rule, file]) => `${rule}: ${file}`);
    return { status, broken: broken.sort((a, b) => a.localeCompare(b)) };
  }

  test('imports that go downwards are accepted', () => {
    write('src/errors.ts', 'export const value = 1;\n');
    write('src/numerics/a.ts', "export { value } from '../errors.ts';\n");
    write('src/graph/a.ts', "export { value } from '../numerics/a.ts';\n");
    write('src/node/index.ts', "export { readFileSync } from 'node:fs';\nexport { value } from '../graph/a.ts';\n");
    write('src/cli/a.ts', "export { value } from '../node/index.ts';\n");
    write('src/index.ts', "export { value } from './graph/a.ts';\n");
    write('examples/a.ts', "import '../src/node/index.ts';\nexport { value } from '../src/index.ts';\n");
    write('test/a.ts', "export { value } from '../src/graph/a.ts';\n");
    expect(check()).toEqual({ status: 0, broken: [] });
  });

  test('every rule catches the smallest import that breaks it', () => {
    const bad: [rule: string, file: string, statement: string][] = [
      ['numerics-imports-only-downwards', 'src/numerics/up.ts', "import '../graph/leaf.ts';"],
      ['graph-imports-only-downwards', 'src/graph/type.ts', "import type { Leaf } from '../runtime/leaf.ts';"],
      ['node-imports-only-downwards', 'src/node/same-row.ts', "import '../web/leaf.ts';"],
      ['known-rooms-only', 'src/utils/unknown.ts', "import '../graph/leaf.ts';"],
      ['core-knows-no-platform-room', 'src/index.ts', "import './node/leaf.ts';"],
      ['core-knows-no-node-module', 'src/formats/files.ts', "import 'node:fs';"],
      ['core-knows-no-native-package', 'src/runtime/engine.ts', "import 'onnxruntime-node';"],
      ['errors-at-the-bottom', 'src/errors.ts', "import './graph/leaf.ts';"],
      ['entry-point-stays-outside', 'src/data/barrel.ts', "import '../index.ts';"],
      ['sources-know-no-tools', 'src/cli/tool.ts', "import '../../test/leaf.ts';"],
      ['users-take-the-front-door', 'examples/inside.ts', "import '../src/graph/leaf.ts';"],
      ['no-cycles', 'src/nn/circle.ts', "import './circle.ts';"],
    ];
    for (const path of ['src/graph', 'src/runtime', 'src/node', 'src/web', 'test'])
      write(`${path}/leaf.ts`, 'export type Leaf = number;\n');
    for (const [, file, statement] of bad) write(file, `${statement}\nexport {};\n`);

    const expected = bad.map(([rule, file]) => `${rule}: ${file}`).sort((a, b) => a.localeCompare(b));
    expect(check()).toEqual({ status: bad.length, broken: expected });

    const proven = bad.map(([rule]) => rule);
    expect(ruleNames.filter((name) => !name.endsWith(roomRule) && !proven.includes(name))).toEqual([]);
  });

  test('every folder in src/ is a room of the list', () => {
    const ruled = ruleNames.filter((name) => name.endsWith(roomRule)).map((name) => name.slice(0, -roomRule.length));
    const rooms = [...ruled, 'cli']; // the topmost room: nothing is above it
    const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.map((entry) => entry.name).filter((name) => !rooms.includes(name))).toEqual([]);
  });
});
