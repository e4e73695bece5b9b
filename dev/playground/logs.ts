/** `kubectl logs`: simulates containers that write one line per second. */
import type { Writable } from 'node:stream'
import { isJson, listAt, type KubernetesObject } from './objects.ts'
import { Refusal } from './status.ts'

const BACKLOG_LINES = 100

/**
 * Writes a container's log: line N is from N seconds after the creation of its pod. With `follow`, it
 * continues until the reader disconnects. Throws a Refusal (BadRequest) for an unknown container and
 * for an invalid number.
 */
export function writeLog(pod: KubernetesObject, query: URLSearchParams, out: Writable): void {
  checkContainer(pod, query.get('container') ?? '')
  const start = Date.parse(pod.metadata.creationTimestamp)
  const timestamps = query.get('timestamps') === 'true'
  const line = (n: number): string => {
    const time = new Date(start + n * 1000).toISOString()
    return `${timestamps ? `${time} ` : ''}tick ${n}\n`
  }
  const last = (): number => Math.floor((Date.now() - start) / 1000)
  let next = firstLine(query, last())
  const catchUp = (): void => {
    while (next <= last()) out.write(line(next++))
  }
  catchUp()
  if (query.get('follow') !== 'true') {
    out.end()
    return
  }
  const timer = setInterval(catchUp, 250)
  out.once('close', () => clearInterval(timer))
}

function checkContainer(pod: KubernetesObject, container: string): void {
  const { name } = pod.metadata
  const names = listAt(pod, 'spec', 'containers').map((c) => (isJson(c) ? String(c['name']) : ''))
  if (container === '' && names.length > 1) {
    throw new Refusal(
      'BadRequest',
      `a container name must be specified for pod ${name}, choose one of: [${names.join(' ')}]`,
    )
  }
  if (container !== '' && !names.includes(container)) {
    throw new Refusal('BadRequest', `container ${container} is not valid for pod ${name}`)
  }
}

function firstLine(query: URLSearchParams, last: number): number {
  const tail = numberOf(query, 'tailLines') ?? BACKLOG_LINES
  const seconds = numberOf(query, 'sinceSeconds') ?? BACKLOG_LINES
  return Math.max(1, last + 1 - Math.min(tail, seconds, BACKLOG_LINES))
}

function numberOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new Refusal('BadRequest', `${name}: ${JSON.stringify(text)} is not a number`)
}
