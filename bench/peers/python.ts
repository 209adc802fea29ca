import { spawnSync } from 'node:child_process';

/** A Python that has PyTorch, or why there is none. */
export type PythonSearch = { readonly python: string; readonly torch: string } | { readonly why: string };

/**
 * Looks for a Python that can import torch: the one that the environment variable STF_PYTHON names, then `python3`, then
 * `/usr/bin/python3`, which has the packages of the system where a version manager has put another one in front.
 */
export function findPython(environment: NodeJS.ProcessEnv = process.env): PythonSearch {
  const named = environment.STF_PYTHON;
  const candidates = [...(named ? [named] : []), 'python3', '/usr/bin/python3'];
  const failures: string[] = [];
  for (const python of candidates) {
    const { status, stdout, stderr, error } = spawnSync(python, ['-c', 'import torch; print(torch.__version__)'], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    if (status === 0) return { python, torch: stdout.trim() };
    failures.push(`${python}: ${error ? error.message : (stderr.trim().split('\n').at(-1) ?? `exit code ${status}`)}`);
  }
  return { why: `no Python with PyTorch was found (${failures.join('; ')}); STF_PYTHON may name one` };
}
