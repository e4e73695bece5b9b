/**
 * How long the credential plugin takes with a cached token, as a ratio to `node -e 0`, since kubectl runs
 * it before every command. `npm run build` first; `node bench/plugin.ts [RUNS]`.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import type { SessionId } from '../src/client/session/session.ts'
import { createSessionStore, type Cache } from '../src/client/session/store.ts'

const GOAL = 1.5
const HOUR_MS = 3_600_000
const runs = Number(process.argv[2] ?? 60)
const main = resolve(import.meta.dirname, '../dist/main.js')
const folder = mkdtempSync(join(tmpdir(), 'gatehouse-plugin-'))

const id: SessionId = {
  server: { origin: 'https://gatehouse.example.com', certificateAuthority: 'CA\n' },
  account: '',
  method: '',
}
const execInfo = JSON.stringify({
  apiVersion: 'client.authentication.k8s.io/v1',
  kind: 'ExecCredential',
  spec: {
    interactive: false,
    cluster: {
      server: id.server.origin,
      'certificate-authority-data': Buffer.from(id.server.certificateAuthority).toString('base64'),
    },
  },
})

/** Fills a cache with a session; false where there is no keyring. */
async function fill(cache: Cache): Promise<boolean> {
  const directory = join(folder, cache, 'gatehouse', 'sign-in')
  try {
    await createSessionStore({ directory, cache }).write(id, {
      facts: {
        ...{ issuer: 'https://login.example.com', clientID: 'kubernetes', scopes: ['openid'] },
        ...{ subject: 'ada', discoveryURL: '', issuerCA: '' },
        ...{ renewAt: Date.now() + HOUR_MS, expiresAt: Date.now() + HOUR_MS },
      },
      // About the length of a token with some groups.
      secrets: { token: 'x'.repeat(1_500), refreshToken: 'y'.repeat(500) },
    })
    return true
  } catch {
    return false
  }
}

function time(args: readonly string[], cache = ''): number {
  const env = {
    ...process.env,
    XDG_CACHE_HOME: join(folder, cache),
    KUBERNETES_EXEC_INFO: execInfo,
  }
  const began = performance.now()
  const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' })
  const took = performance.now() - began
  if (status !== 0) throw new Error(`${args.join(' ')} failed: ${stderr}`)
  return took
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}

try {
  const subjects = new Map<string, () => number>([['node -e 0', () => time(['-e', '0'])]])
  const plugin = [main, 'get-token', `--server=${id.server.origin}`]
  for (const cache of ['file', 'keyring'] as const) {
    if (await fill(cache)) subjects.set(`get-token, ${cache}`, () => time(plugin, cache))
    else console.log(`no ${cache}: not measured`)
  }
  const samples = new Map([...subjects.keys()].map((name) => [name, [] as number[]]))
  // In turns, so that whatever else the machine does slows down all of them.
  for (let i = 0; i < runs; i++) {
    for (const [name, run] of subjects) samples.get(name)?.push(run())
  }
  const bare = median(samples.get('node -e 0') ?? [])
  for (const [name, values] of samples) {
    console.log(`${name.padEnd(20)} ${(median(values) / bare).toFixed(2)} x`)
  }
  const ratio = median(samples.get('get-token, file') ?? []) / bare
  console.log(`goal: at most ${GOAL} x with the file cache: ${ratio <= GOAL ? 'met' : 'missed'}`)
  process.exitCode = ratio <= GOAL ? 0 : 1
} finally {
  rmSync(folder, { recursive: true })
}
