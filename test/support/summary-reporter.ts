import type { Reporter, SerializedError, TestModule, TestSuite } from 'vitest/node'

interface Counts {
  passed: number
  failed: number
  skipped: number
}

/**
 * A vitest reporter in addition to the default one. Its line `N passed, N failed` (and `, N skipped`
 * if there are any) is the last one of a run: it is written when the process exits, after vitest's own
 * messages about coverage or open handles.
 *
 * An error outside of a test counts as a failure: a file that cannot be loaded, a hook of a suite, an
 * uncaught error. So the line of a failed run never says `0 failed`.
 */
export function summaryReporter(write: (line: string) => void = writeAtExit()): Reporter {
  return {
    onTestRunEnd: (modules, unhandledErrors) => write(closingLine(count(modules, unhandledErrors))),
  }
}

function writeAtExit(): (line: string) => void {
  let last: string | undefined
  return (line) => {
    if (last === undefined) process.on('exit', () => process.stdout.write(`${last ?? ''}\n`))
    last = line
  }
}

function closingLine({ passed, failed, skipped }: Counts): string {
  const line = `${passed} passed, ${failed} failed`
  return skipped === 0 ? line : `${line}, ${skipped} skipped`
}

function count(
  modules: readonly TestModule[],
  unhandledErrors: readonly SerializedError[],
): Counts {
  const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
  for (const module of modules) {
    counts.failed += failuresOutsideTests(module)
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      // A test that is still pending at the end of the run has not passed.
      counts[state === 'pending' ? 'failed' : state] += 1
    }
  }
  return counts
}

function failuresOutsideTests(module: TestModule): number {
  const suites: (TestModule | TestSuite)[] = [module, ...module.children.allSuites()]
  return suites.filter((suite) => suite.errors().length > 0).length
}
