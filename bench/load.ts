/** The programs that make the load, and what they report. All throw when a request fails. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

import type { Protocol } from './peers/peer.ts'
import { benchProgram } from './world.ts'

const run = promisify(execFile)

/** Whom to ask, as whom. */
export interface Target {
  /** With the path. */
  url: string
  /** Authority of the server's certificate, PEM. */
  caFile: string
  token: string
  /** Shown to the server where there is no proxy between. */
  certificate?: { certFile: string; keyFile: string }
}

/** Many requests at once: 32 over HTTP/1.1 connections, or over 8 HTTP/2 connections of 4 streams. */
export const concurrency = { connections: 32, http2Connections: 8, streams: 4 } as const

/** As many requests as possible for some seconds; returns how many were answered. */
export async function saturate(
  protocol: Protocol,
  target: Target,
  seconds: number,
): Promise<number> {
  return protocol === 'h1' ? wrk(target, seconds) : h2loadFor(target, seconds)
}

async function wrk(target: Target, seconds: number): Promise<number> {
  const { stdout } = await run('wrk', [
    '--threads=1',
    `--connections=${concurrency.connections}`,
    `--duration=${seconds}s`,
    `--header=Authorization: Bearer ${target.token}`,
    target.url,
  ])
  const failed = /Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)/.exec(stdout)
  if (failed !== null) throw new Error(`wrk against ${target.url}: ${failed[0]}`)
  return numberIn(stdout, /(\d+) requests in/, 'wrk')
}

async function h2loadFor(target: Target, seconds: number): Promise<number> {
  const { stdout } = await run('h2load', [
    `--clients=${concurrency.http2Connections}`,
    `--max-concurrent-streams=${concurrency.streams}`,
    `--duration=${seconds}`,
    `--header=authorization: Bearer ${target.token}`,
    target.url,
  ])
  return h2loadSucceeded(stdout, target)
}

/** Asks for something big a number of times, over 4 connections, one request each at a time. */
export async function transfer(protocol: Protocol, target: Target, count: number): Promise<number> {
  const { stdout } = await run('h2load', [
    '--clients=4',
    '--max-concurrent-streams=1',
    `--requests=${count}`,
    // The windows of Go's HTTP/2 client, which kubectl has: 4 MiB a stream, 1 GiB a connection.
    '--window-bits=22',
    '--connection-window-bits=30',
    ...(protocol === 'h1' ? ['--h1'] : []),
    `--header=authorization: Bearer ${target.token}`,
    target.url,
  ])
  const succeeded = h2loadSucceeded(stdout, target)
  if (succeeded !== count) throw new Error(`h2load against ${target.url}: ${stdout}`)
  return numberIn(stdout, /\((\d+)\) data/, 'h2load')
}

function h2loadSucceeded(stdout: string, target: Target): number {
  const codes = /status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx/.exec(stdout)
  const errors = /(\d+) failed, (\d+) errored, (\d+) timeout/.exec(stdout)
  const bad = [...(codes?.slice(2) ?? ['1']), ...(errors?.slice(1) ?? ['1'])]
  if (bad.some((count) => count !== '0')) {
    throw new Error(`h2load against ${target.url}:\n${stdout.trim()}`)
  }
  return Number(codes?.[1])
}

function numberIn(text: string, pattern: RegExp, who: string): number {
  const found = pattern.exec(text)?.[1]
  if (found === undefined) throw new Error(`${who} said nothing that matches ${pattern}:\n${text}`)
  return Number(found)
}

export interface Latency {
  /** Microseconds. */
  p50: number
  p99: number
}

/** Requests at a fixed rate, whether answers come or not. */
export async function pace(
  protocol: Protocol,
  target: Target,
  rate: number,
  seconds: number,
): Promise<Latency> {
  const { stdout } = await run(await benchProgram('load'), [
    'pace',
    ...loadFlags(protocol, target),
    `-rate=${rate}`,
    `-duration=${seconds}s`,
  ])
  const result = JSON.parse(stdout) as Latency & { failed: number }
  if (result.failed > 0) throw new Error(`${result.failed} paced requests to ${target.url} failed`)
  return result
}

/** Opens watches and returns, once each has seen its first event, what closes them. */
export async function openWatches(
  protocol: Protocol,
  target: Target,
  count: number,
): Promise<() => Promise<void>> {
  const child = spawn(
    await benchProgram('load'),
    ['watch', ...loadFlags(protocol, target), `-count=${count}`],
    // It ends when its stdin does, so also when the bench is killed.
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const exit = once(child, 'exit')
  const lines = createInterface(child.stdout)
  const first = await Promise.race([
    once(lines, 'line').then(([line]) => line as string),
    exit.then(() => '{}'),
  ])
  const { open } = JSON.parse(first) as { open?: number }
  const close = async () => {
    child.stdin.end()
    await exit
  }
  if (open !== count) {
    await close()
    throw new Error(`only ${open ?? 0} of ${count} watches of ${target.url} opened`)
  }
  return close
}

function loadFlags(protocol: Protocol, target: Target): string[] {
  const { certificate } = target
  return [
    `-url=${target.url}`,
    `-ca=${target.caFile}`,
    `-token=${target.token}`,
    `-http2=${protocol === 'h2'}`,
    ...(certificate === undefined
      ? []
      : [`-cert=${certificate.certFile}`, `-key=${certificate.keyFile}`]),
  ]
}
