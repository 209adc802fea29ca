import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';

/**
 * The folder that keeps what was downloaded once: `STF_CACHE` if set, else `stable-target-field` in `XDG_CACHE_HOME` (an
 * absolute path, as the XDG Base Directory Specification asks; others are ignored), else in `.cache` of the home folder.
 * The folder need not exist.
 *
 * @param environment the environment variables
 */
export function cacheFolder(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const { STF_CACHE: chosen, XDG_CACHE_HOME: shared } = environment;
  if (chosen) return resolve(chosen);
  if (shared && isAbsolute(shared)) return join(shared, 'stable-target-field');
  return join(homedir(), '.cache', 'stable-target-field');
}
