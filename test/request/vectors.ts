import { isDeepStrictEqual } from 'node:util'
import { isLongRunning } from '../../src/request/long-running.ts'
import { resolveRequestInfo } from '../../src/request/request-info.ts'
import { parseTarget } from '../../src/request/target.ts'
import type { RequestInfo, Target } from '../../src/request/types.ts'
import { StatusError } from '../../src/status.ts'
import type { RequestLine } from './hostile-requests.ts'

/** The output of the Go program dev/parts/go/requestinfo, without empty fields. */
export interface Reading extends Partial<RequestInfo> {
  /** `parse`: net/http responds with 400; `info`: kube-apiserver responds with 500. */
  readonly refused?: 'parse' | 'info'
  readonly longRunning?: true
  /** The path as Go would forward it, if that differs from what it received. */
  escaped?: string
}

/** A request and kube-apiserver's reading of it: one line of vectors.jsonl. */
export type Vector = readonly [method: string, target: string, recorded: Reading]

/** Writes one vector per line, so that a diff between two versions is readable. */
export function formatVectors(
  questions: readonly RequestLine[],
  readings: readonly Reading[],
): string {
  return readings
    .map((recorded, index) => {
      const { method = '', target = '' } = questions[index] ?? {}
      return `${JSON.stringify([method, target, recorded])}\n`
    })
    .join('')
}

export function parseVectors(text: string): Vector[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Vector)
}

/**
 * Returns Gatehouse's reading of a request in the form of kube-apiserver's, or the status code of its
 * refusal. Rethrows any other error.
 */
export function gatehouseReading({ method, target }: RequestLine): Reading | number {
  try {
    return readingOf(resolveRequestInfo(method, parseTarget(method, target)))
  } catch (error) {
    if (error instanceof StatusError) return error.code
    throw error
  }
}

/**
 * Returns the RequestInfo of a target in origin-form, even if Gatehouse would refuse the target.
 * Undefined if there is none: the target is not UTF-8, or does not have a path.
 */
export function unrefusedReading({ method, target }: RequestLine): Reading | undefined {
  const parsed = decodeAsGo(target)
  if (parsed === undefined) return undefined
  try {
    return readingOf(resolveRequestInfo(method, parsed))
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    return error.message.includes('UTF-8') ? undefined : { refused: 'info' }
  }
}

/** Whether a reading by one of the functions above is the one that kube-apiserver recorded. */
export function isSameReading(reading: Reading, recorded: Reading): boolean {
  const info = { ...recorded }
  delete info.escaped
  return isDeepStrictEqual(reading, info)
}

/** Whether a request is refused with 400 or 405, or read as kube-apiserver reads it. */
export function isSafeReading(reading: Reading | number, recorded: Reading): boolean {
  return typeof reading === 'number'
    ? reading === 400 || reading === 405
    : isSameReading(reading, recorded)
}

function decodeAsGo(raw: string): Target | undefined {
  if (!raw.startsWith('/')) return undefined
  const question = raw.indexOf('?')
  const path = question === -1 ? raw : raw.slice(0, question)
  try {
    const rawQuery = question === -1 ? '' : raw.slice(question + 1)
    return { raw, path: decodeURIComponent(path), rawQuery }
  } catch {
    return undefined
  }
}

function readingOf(info: RequestInfo): Reading {
  const set = Object.entries({ ...info, longRunning: isLongRunning(info) }).filter(
    ([, value]) => value !== '' && value !== false && !(Array.isArray(value) && value.length === 0),
  )
  return Object.fromEntries(set)
}
