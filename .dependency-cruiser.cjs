// Import directions. `npm run imports` checks them, test/project/imports.test.ts proves that the check can fail.
// Everything below follows from this one list: a room imports from the rows below its own, and from nothing else.
// Rooms in the same row do not know each other.
const rows = [
  ['cli'],
  ['node', 'web'],
  ['report'],
  ['training'],
  ['metrics'],
  ['analysis'],
  ['sampling'],
  ['objective'],
  ['diffusion'],
  ['networks'],
  ['nn'],
  ['data'],
  ['formats'],
  ['runtime'],
  ['graph'],
  ['numerics'],
];
const rooms = rows.flat();
/** Rooms that are tied to a platform; all others are the core, which runs in Node and in browsers alike. */
const platformRooms = ['cli', 'node', 'web'];
const coreRooms = rooms.filter((room) => !platformRooms.includes(room));

/** A pattern for the files of some rooms. */
const inRooms = (names) => `^src/(${names.join('|')})/`;
const error = (name, comment, from, to) => ({ name, severity: 'error', comment, from, to });

const downwards = rows.flatMap((row, index) =>
  row
    .map((room) => ({ room, closed: [...rows.slice(0, index).flat(), ...row.filter((other) => other !== room)] }))
    .filter(({ closed }) => closed.length > 0)
    .map(({ room, closed }) =>
      error(
        `${room}-imports-only-downwards`,
        `src/${room} may import only from rooms below it: ${
          rows
            .slice(index + 1)
            .flat()
            .join(', ') || 'none'
        }`,
        { path: inRooms([room]) },
        { path: inRooms(closed) },
      ),
    ),
);

const core = '^src/(?!(cli|node|web)/)';
const publicEntryPoints = '^(dist/)?src/(index|node/index|web/index)\\.(ts|js|d\\.ts)$';

const boundaries = [
  error(
    'known-rooms-only',
    'every folder in src/ is a room: add it to the list in .dependency-cruiser.cjs',
    { path: `^src/(?!(${rooms.join('|')})/)[^/]+/` },
    {},
  ),
  error(
    'core-knows-no-platform-room',
    'the core runs in Node and in browsers: src/cli, src/node and src/web import it, never the other way',
    { path: core },
    { path: inRooms(platformRooms) },
  ),
  error(
    'core-knows-no-node-module',
    'the core runs in browsers too: what needs files or processes lives in src/node',
    { path: core },
    { dependencyTypes: ['core'] },
  ),
  error(
    'core-knows-no-native-package',
    'these packages are tied to Node or to browsers: import them from src/node, src/cli or src/web',
    { path: core },
    { path: '(^|node_modules/)(onnxruntime-node|onnxruntime-web|@resvg/resvg-js|commander|sharp)(/|$)' },
  ),
  error(
    'errors-at-the-bottom',
    'src/errors.ts is imported by every room and imports nothing',
    { path: '^src/errors\\.ts$' },
    {},
  ),
  error(
    'entry-point-stays-outside',
    'src/index.ts gathers what the core rooms export; a room imports the file it needs',
    { path: inRooms(coreRooms) },
    { path: '^src/index\\.ts$' },
  ),
  error(
    'sources-know-no-tools',
    'benchmarks, checks, tests, examples and the app import the sources, never the other way',
    { path: '^src/' },
    { path: '^(app|bench|check|examples|scripts|test)/' },
  ),
  error(
    'users-take-the-front-door',
    'app/ and examples/ import what a user can: stable-target-field, stable-target-field/node, stable-target-field/web',
    { path: '^(app|examples)/' },
    { path: '^(dist|src|bench|check|scripts|test)/', pathNot: publicEntryPoints },
  ),
  error('no-cycles', 'files that import each other in a circle cannot be read one by one', {}, { circular: true }),
];

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [...downwards, ...boundaries],
  options: {
    tsPreCompilationDeps: true, // imports of types count as well
    doNotFollow: { path: '(^|/)(node_modules|dist)/' },
    exclude: { path: '^(runs|coverage|docs|test/fixtures)/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'node', 'default'] },
  },
};
