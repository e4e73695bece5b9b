/** Runs the programs that generate load, and reads their reports. All throw when a request fails. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

import type { Protocol } from './peers/peer.ts'
import { benchProgram } from './world.ts'

const run = promisify(execFile)

/** Where to send requests, and with which credential. */
export interface Target {
  /** The URL, including the path. */
  url: string
  /** Path of the CA certificate (PEM) that signed the server's certificate. */
  caFile: string
  token: string
  /** A client certificate, for requests directly to the upstream. */
  certificate?: { certFile: string; keyFile: string }
}

/** 32 concurrent requests: over 32 HTTP/1.1 connections, or over 8 HTTP/2 connections of 4 streams. */
const concurrency = { connections: 32, http2Connections: 8, streams: 4 } as const

/** Sends as many requests as possible for some seconds; returns the number of responses. */
export async function saturate(
  protocol: Protocol,
  target: Target,
  seconds: number,
): Promise<number> {
  return protocol === 'h1' ? wrk(target, seconds) : h2loadFor(target, seconds)
}

/** Each request is made as another user (`kubectl --as`); returns the number of responses. */
export async function saturateAsOthers(
  target: Target,
  { seconds, script }: { seconds: number; script: string },
): Promise<number> {
  return wrk(target, seconds, [`--script=${script}`])
}

async function wrk(target: Target, seconds: number, more: readonly string[] = []): Promise<number> {
  const { stdout } = await run('wrk', [
    ...more,
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

/** The same with POSTs of a file. */
export async function saturateWrites(
  protocol: Protocol,
  target: Target,
  { seconds, bodyFile }: { seconds: number; bodyFile: string },
): Promise<number> {
  const more = protocol === 'h1' ? ['--h1'] : []
  return h2loadFor(target, seconds, [...more, `--data=${bodyFile}`])
}

async function h2loadFor(
  target: Target,
  seconds: number,
  more: readonly string[] = [],
): Promise<number> {
  const { stdout } = await run('h2load', [
    `--clients=${concurrency.http2Connections}`,
    `--max-concurrent-streams=${concurrency.streams}`,
    `--duration=${seconds}`,
    ...more,
    `--header=authorization: Bearer ${target.token}`,
    target.url,
  ])
  return h2loadSucceeded(stdout, target)
}

/** Sends `count` requests for a large body over 4 connections; returns the bytes of all bodies. */
export async function transfer(protocol: Protocol, target: Target, count: number): Promise<number> {
  const { stdout } = await run('h2load', [
    '--clients=4',
    '--max-concurrent-streams=1',
    `--requests=${count}`,
    // The windows of kubectl, which are those of Go's HTTP/2 client: 4 MiB per stream, 1 GiB per connection.
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

function numberIn(text: string, pattern: RegExp, program: string): number {
  const found = pattern.exec(text)?.[1]
  if (found === undefined)
    throw new Error(`the output of ${program} does not match ${pattern}:\n${text}`)
  return Number(found)
}

export interface Latency {
  /** In microseconds, like {@link p99}. */
  p50: number
  p99: number
}

/** Sends requests at a fixed rate, whether earlier ones have a response or not. */
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

/** The requests per second that are possible with the client of {@link pace}, which takes more CPU than wrk. */
export async function paceLimit(target: Target, seconds: number): Promise<number> {
  const { stdout } = await run(await benchProgram('load'), [
    'saturate',
    ...loadFlags('h1', target),
    `-duration=${seconds}s`,
  ])
  return (JSON.parse(stdout) as { rate: number }).rate
}

/** Opens watches, waits for the first event of each, and returns the function that closes them. */
export async function openWatches(
  protocol: Protocol,
  target: Target,
  count: number,
): Promise<() => Promise<void>> {
  const child = spawn(
    await benchProgram('load'),
    ['watch', ...loadFlags(protocol, target), `-count=${count}`],
    // The program ends when its stdin is closed, and so also when the bench is killed.
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
    throw new Error(`only ${open ?? 0} of ${count} watches of ${target.url} could be opened`)
  }
  return close
}

/** What one tunnel carries. */
export interface Cargo {
  protocol: 'websocket' | 'spdy'
  direction: 'down' | 'up'
  /** The number of frames of 32 KiB. */
  frames: number
}

/** Opens a tunnel, carries frames through it, and returns the number of bytes. */
export async function carry(target: Target, cargo: Cargo): Promise<number> {
  const { stdout } = await run(await benchProgram('load'), [
    'tunnel',
    ...loadFlags('h1', target),
    `-protocol=${cargo.protocol}`,
    `-up=${cargo.direction === 'up'}`,
    `-frames=${cargo.frames}`,
  ])
  return (JSON.parse(stdout) as { bytes: number }).bytes
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
