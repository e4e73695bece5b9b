import { spawn, type ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { delimiter, dirname, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request, type Dispatcher } from 'undici'
import { parse } from 'yaml'
import { findProgram } from '../../dev/find-program.ts'
import { binaryPath, isExecutable } from '../../dev/parts/cache.ts'
import { versions } from '../../dev/parts/versions.ts'

export const checkout = resolve(import.meta.dirname, '../..')

/** What `--output json` prints. */
export interface Summary {
  readonly url: string
  readonly ca: string
  readonly probes: string
  /** Only with `--redis`. */
  readonly second?: { readonly url: string; readonly probes: string; readonly redisPort: number }
  readonly rules: string
  readonly audit: string
  readonly users: readonly {
    readonly username: string
    readonly groups: readonly string[]
    readonly kind: string
    readonly kubeconfig: string
  }[]
}

/** `node dev/start.ts` as a process of its own. */
export interface FirstRun {
  readonly child: ChildProcess
  /** The lines of stdout so far. */
  readonly lines: readonly string[]
  readonly stderr: () => string
  /** Resolves with the first line that matches; rejects when the process ends before. */
  until(matches: (line: string) => boolean): Promise<string>
  /** Resolves with the exit code or signal. */
  readonly ended: Promise<number | string>
}

/** Starts `node dev/start.ts`, or another command in its place. */
export function firstRun(
  args: readonly string[],
  [file, ...before]: readonly [string, ...string[]] = [process.execPath, 'dev/start.ts'],
): FirstRun {
  const child = spawn(file, [...before, ...args], {
    cwd: checkout,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  const waiting = new Set<(line: string) => void>()
  createInterface(child.stdout).on('line', (line) => {
    lines.push(line)
    for (const check of waiting) check(line)
  })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk))
  const ended = new Promise<number | string>((resolveEnd, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolveEnd(code ?? String(signal)))
  })
  return {
    child,
    lines,
    stderr: () => errors,
    ended,
    until: (matches) =>
      new Promise((resolveLine, reject) => {
        const check = (line: string): void => {
          if (matches(line)) resolveLine(line)
        }
        waiting.add(check)
        lines.forEach(check)
        const fail = (outcome: unknown): void =>
          reject(new Error(`npm start ended (${String(outcome)}): ${errors}`))
        ended.then(fail, fail)
      }),
  }
}

/** Waits for the summary of a run with `--output json`. */
export async function summaryOf(run: FirstRun): Promise<Summary> {
  return JSON.parse(await run.until((line) => line.startsWith('{'))) as Summary
}

/** Sends a request with the server and the credential of a kubeconfig. */
export async function callAs(
  kubeconfig: string,
  path: string,
  call: { method?: Dispatcher.HttpMethod; body?: string } = {},
): Promise<{ code: number; json: Record<string, unknown> }> {
  const config = parse(await readFile(kubeconfig, 'utf8')) as {
    clusters: { cluster: Record<string, string> }[]
    users: { user: Record<string, string> }[]
  }
  const cluster = config.clusters[0]?.cluster ?? {}
  const user = config.users[0]?.user ?? {}
  const pem = (data: string | undefined): { toString: () => string } | undefined =>
    data === undefined ? undefined : Buffer.from(data, 'base64')
  const connect = {
    ca: String(pem(cluster['certificate-authority-data'])),
    ...(user['token'] === undefined
      ? {
          cert: String(pem(user['client-certificate-data'])),
          key: String(pem(user['client-key-data'])),
        }
      : {}),
  }
  const dispatcher = new Agent({ allowH2: false, connect })
  try {
    const { statusCode, body } = await request((cluster['server'] ?? '') + path, {
      dispatcher,
      method: call.method ?? 'GET',
      headers: {
        'content-type': 'application/json',
        ...(user['token'] === undefined ? {} : { authorization: `Bearer ${user['token']}` }),
      },
      ...(call.body === undefined ? {} : { body: call.body }),
    })
    return { code: statusCode, json: (await body.json()) as Record<string, unknown> }
  } finally {
    await dispatcher.destroy()
  }
}

/** Resolves when `holds` returns true; otherwise, the timeout of the test ends the wait. */
export async function eventually(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(50)
}

/**
 * A PATH with a kubectl: that of the environment, else with the folder of the kubectl in the cache of
 * parts in front; undefined if neither has one.
 */
export async function pathWithKubectl(): Promise<string | undefined> {
  const path = process.env['PATH'] ?? ''
  if ((await findProgram('kubectl', path)) !== undefined) return path
  const built = binaryPath('kubectl', versions.kubernetes)
  return (await isExecutable(built)) ? `${dirname(built)}${delimiter}${path}` : undefined
}
