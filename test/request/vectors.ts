import { isDeepStrictEqual } from 'node:util'
import { isLongRunning } from '../../src/request/long-running.ts'
import { resolveRequestInfo } from '../../src/request/request-info.ts'
import { parseTarget } from '../../src/request/target.ts'
import type { RequestInfo, Target } from '../../src/request/types.ts'
import { StatusError } from '../../src/status.ts'
import type { Question } from './hostile-requests.ts'

/** What the Go program of dev/parts/go/requestinfo prints: its fields that are empty are left out. */
export interface Answer extends Partial<RequestInfo> {
  /** `parse`: net/http answers 400; `info`: kube-apiserver answers 500. */
  readonly refused?: 'parse' | 'info'
  readonly longRunning?: true
  /** How Go would write the path when it sends it on, where that is not what it read. */
  escaped?: string
}

/** A question and kube-apiserver's answer; a line of vectors.jsonl. */
export type Vector = readonly [method: string, target: string, answer: Answer]

/** One vector a line, so that a difference between two versions can be read. */
export function formatVectors(questions: readonly Question[], answers: readonly Answer[]): string {
  return answers
    .map((answer, index) => {
      const { method = '', target = '' } = questions[index] ?? {}
      return `${JSON.stringify([method, target, answer])}\n`
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
 * What Gatehouse makes of a request: in the form of kube-apiserver's answer, or the code of its
 * refusal. Anything thrown that is no refusal is passed on.
 */
export function gatehouseReading({ method, target }: Question): Answer | number {
  try {
    return answerOf(resolveRequestInfo(method, parseTarget(method, target)))
  } catch (error) {
    if (error instanceof StatusError) return error.code
    throw error
  }
}

/**
 * What the port of RequestInfo makes of a target of origin-form that Gatehouse would refuse.
 * Undefined where there is no such reading: not UTF-8, or no path.
 */
export function unrefusedReading({ method, target }: Question): Answer | undefined {
  const parsed = decodeAsGo(target)
  if (parsed === undefined) return undefined
  try {
    return answerOf(resolveRequestInfo(method, parsed))
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    return error.message.includes('UTF-8') ? undefined : { refused: 'info' }
  }
}

/** Whether a reading, by one of the functions above, is kube-apiserver's. */
export function isSameReading(reading: Answer, answer: Answer): boolean {
  const info = { ...answer }
  delete info.escaped
  return isDeepStrictEqual(reading, info)
}

/** Whether the request is refused as Gatehouse refuses, or read as kube-apiserver reads it. */
export function isSafeReading(reading: Answer | number, answer: Answer): boolean {
  return typeof reading === 'number'
    ? reading === 400 || reading === 405
    : isSameReading(reading, answer)
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

function answerOf(info: RequestInfo): Answer {
  const set = Object.entries({ ...info, longRunning: isLongRunning(info) }).filter(
    ([, value]) => value !== '' && value !== false && !(Array.isArray(value) && value.length === 0),
  )
  return Object.fromEntries(set)
}
