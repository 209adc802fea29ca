import { join } from 'node:path';
import { build } from 'vite';

const root = join(import.meta.dirname, '..', '..');

/** One file of a production bundle: `page.js`, or `engine.js` with what comes from the engine's package. */
export interface BundledFile {
  readonly name: string;
  readonly code: string;
}

/**
 * Bundles a page for production, as a user's bundler would, with the engine's code in a file of its own. The engine's
 * Wasm is left outside: a page says where it is served from.
 *
 * @param entry  name of a file beside this one
 * @param code   what is in that file, where it is none on the disk
 */
export async function bundle(entry: string, code?: string): Promise<BundledFile[]> {
  const file = join(root, 'test/browser', entry);
  const result = await build({
    plugins:
      code === undefined
        ? []
        : [
            {
              name: 'code',
              enforce: 'pre',
              resolveId: (id) => (id === file ? id : undefined),
              load: (id) => (id === file ? code : undefined),
            },
          ],
    root,
    configFile: false,
    logLevel: 'silent',
    resolve: { conditions: ['onnxruntime-web-use-extern-wasm', 'module', 'browser', 'production'] },
    build: {
      write: false,
      target: 'es2022',
      modulePreload: false,
      rolldownOptions: {
        input: file,
        output: {
          entryFileNames: 'page.js',
          chunkFileNames: '[name].js',
          codeSplitting: { groups: [{ name: 'engine', test: /node_modules\/onnxruntime-/ }] },
        },
      },
    },
  });
  const { output } = (Array.isArray(result) ? result[0] : result) as Extract<
    Awaited<ReturnType<typeof build>>,
    { output: unknown }
  >;
  return output.flatMap((file) => (file.type === 'chunk' ? [{ name: file.fileName, code: file.code }] : []));
}
