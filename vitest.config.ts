import { availableParallelism } from 'node:os'

import { defineConfig } from 'vitest/config'

import { summaryReporter } from './test/support/summary-reporter.ts'

const shared = {
  restoreMocks: true,
  unstubEnvs: true,
  // On a busy machine everything comes late. These limits only end a test that would wait forever, so they
  // are far longer than anything takes. Polls end first, since they say what they have seen.
  expect: { poll: { timeout: 60_000, interval: 20 } },
  testTimeout: 120_000,
  hookTimeout: 120_000,
}

export default defineConfig({
  test: {
    // vitest leaves one core to itself, which on two cores runs one file at a time. Most tests wait
    // for sockets and processes, so as many files as cores run side by side.
    maxWorkers: Math.max(2, availableParallelism()),
    reporters: ['default', summaryReporter()],
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      exclude: ['src/main.ts'],
      reporter: ['text-summary', 'html'],
    },
    projects: [
      {
        test: {
          ...shared,
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [
            'test/attack/**',
            'test/e2e/**',
            'test/parts/**',
            'test/package/**',
            // It starts whole processes, one after another.
            'test/dev/start.test.ts',
          ],
        },
      },
      {
        test: {
          ...shared,
          name: 'attack',
          include: ['test/attack/**/*.test.ts'],
        },
      },
      {
        test: {
          ...shared,
          name: 'e2e',
          globalSetup: ['test/support/parts-setup.ts'],
          include: [
            'test/e2e/**/*.test.ts',
            'test/parts/**/*.test.ts',
            'test/package/**/*.test.ts',
            'test/dev/start.test.ts',
          ],
          testTimeout: 180_000,
          hookTimeout: 900_000,
        },
      },
    ],
  },
})
