import { availableParallelism } from 'node:os'

import { defineConfig } from 'vitest/config'

import { summaryReporter } from './test/support/summary-reporter.ts'

const shared = {
  restoreMocks: true,
  unstubEnvs: true,
  // What a poll waits for comes late on a busy machine; its default of a second would be a timed test.
  expect: { poll: { timeout: 20_000 } },
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
          testTimeout: 20_000,
        },
      },
      {
        test: {
          ...shared,
          name: 'attack',
          include: ['test/attack/**/*.test.ts'],
          testTimeout: 60_000,
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
