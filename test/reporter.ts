import type { Reporter, TestModule } from 'vitest/node';

/** Prints every skipped test with its reason (`ctx.skip('no GPU')`) at the end of a run, so that none is overlooked. */
export default class SkippedTests implements Reporter {
  onTestRunEnd(testModules: readonly TestModule[]): void {
    const lines = testModules.flatMap((module) =>
      [...module.children.allTests('skipped')].map((test) => {
        const result = test.result();
        const reason = result.state === 'skipped' ? result.note : undefined;
        return `  ${module.relativeModuleId} > ${test.fullName}: ${reason ?? 'no reason given'}`;
      }),
    );
    if (lines.length > 0) console.log(`\nSkipped:\n${lines.join('\n')}\n`);
  }
}
