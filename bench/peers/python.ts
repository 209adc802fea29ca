import { spawnSync } from 'node:child_process';

/** A Python that has PyTorch, or why there is none. */
export type PythonSearch = { readonly python: string; readonly torch: string } | { readonly why: string };

/** Ends with a message where the device that is the argument is not there. */
const probe = `import sys, torch
try:
    torch.zeros(1, device=sys.argv[1])
except Exception as error:
    sys.exit(f"PyTorch {torch.__version__} has no {sys.argv[1]}: " + str(error).splitlines()[0])
`;

/**
 * Looks for a Python that can import torch, and whose torch finds the device: the one that the environment variable STF_PYTHON names, then `python3`, then
 * `/usr/bin/python3`, which has the packages of the system where a version manager has put another one in front.
 */
export function findPython(environment: NodeJS.ProcessEnv = process.env, device = 'cpu'): PythonSearch {
  const named = environment.STF_PYTHON;
  const candidates = [...(named ? [named] : []), 'python3', '/usr/bin/python3'];
  const failures: string[] = [];
  for (const python of candidates) {
    const { status, stdout, stderr, error } = spawnSync(python, ['-c', `${probe}print(torch.__version__)`, device], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    if (status === 0) return { python, torch: stdout.trim() };
    failures.push(`${python}: ${error ? error.message : (stderr.trim().split('\n').at(-1) ?? `exit code ${status}`)}`);
  }
  return {
    why: `no Python with PyTorch${device === 'cpu' ? '' : ` on ${device}`} was found (${failures.join('; ')}); STF_PYTHON may name one`,
  };
}
