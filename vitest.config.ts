import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    environment: 'node',
    include: ['test/**/*.test.ts'],
    // One process for each test file: ONNX Runtime keeps threads and arenas that must not outlive a file. Two at a time,
    // because every one of them uses the machine's cores.
    pool: 'forks',
    isolate: true,
    maxWorkers: 2,
    // Training runs and walks over every operator are tests too.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
