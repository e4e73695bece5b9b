/** A real Chromium, of the machine (Debian: the package `chromium`). */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

import { chromium, type Browser } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome']

/** The path of the program; undefined where there is none. */
export function chromiumPath(): string | undefined {
  const directories = (process.env['PATH'] ?? '').split(delimiter)
  return directories
    .flatMap((directory) => NAMES.map((name) => join(directory, name)))
    .find((path) => existsSync(path))
}

/** Says loudly what a machine lacks. */
export function skippedWithoutChromium(): boolean {
  if (chromiumPath() !== undefined) return false
  process.stderr.write('\n*** Chromium is missing: tests with a real browser are skipped ***\n\n')
  return true
}

export interface Chromium {
  readonly browser: Browser
  close(): Promise<void>
}

/**
 * Starts it without a window.
 *
 * @param home with its certificate store (`.pki/nssdb`); an empty one by default
 */
export async function startChromium(home?: string): Promise<Chromium> {
  const directory = home ?? (await mkdtemp(join(tmpdir(), 'gatehouse-chromium-')))
  const browser = await chromium.launch({
    executablePath: chromiumPath() ?? '',
    // It runs as root in CI, and resolves no name but those of loopback.
    args: ['--no-sandbox', '--host-resolver-rules=MAP *.localhost 127.0.0.1'],
    env: { ...process.env, HOME: directory },
  })
  return {
    browser,
    async close() {
      await browser.close()
      if (home === undefined) await rm(directory, { recursive: true, force: true })
    },
  }
}
