import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isConnect, isLongRunning, requestClass } from '../../src/request/long-running.ts'
import { firstValues } from '../../src/request/query.ts'
import { resolveRequestInfo } from '../../src/request/request-info.ts'
import { parseTarget } from '../../src/request/target.ts'
import type { Target } from '../../src/request/types.ts'
import { StatusError } from '../../src/status.ts'
import { hostileRequest, type RequestLine } from './hostile-requests.ts'
import { methodAndTarget, usualRequests } from './usual-requests.ts'

const bytes = fc.uint8Array({ maxLength: 80 }).map((array) => Buffer.from(array).toString('latin1'))
const unit = fc.string({ unit: 'binary', maxLength: 40 })
const anyRequest: fc.Arbitrary<RequestLine> = fc.oneof(
  hostileRequest,
  fc.record({
    method: fc.oneof(fc.constantFrom('GET', 'DELETE', 'OPTIONS'), bytes),
    target: fc.oneof(bytes, unit, fc.tuple(fc.constantFrom('/', '/api/v1/'), bytes).map(join)),
  }),
)

/** Segments of any allowed text, to be escaped by `encodeURIComponent`. */
const segment = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
  .filter((text) => text.isWellFormed() && !/[\p{Cc}/\\;%]/u.test(text))
  .filter((text) => text !== '.' && text !== '..')

function join(parts: readonly string[]): string {
  return parts.join('')
}

/** Returns the refusal, undefined if there is none; rethrows other errors. */
function refusalOf({ method, target }: RequestLine): StatusError | undefined {
  try {
    const info = resolveRequestInfo(method, parseTarget(method, target))
    isConnect(info)
    isLongRunning(info)
    requestClass(info)
    return undefined
  } catch (error) {
    if (error instanceof StatusError) return error
    throw error
  }
}

function accepted({ method, target }: RequestLine): Target | undefined {
  try {
    return parseTarget(method, target)
  } catch (error) {
    if (error instanceof StatusError) return undefined
    throw error
  }
}

/** Checks a property of all accepted targets, and that there are some. */
function checkAccepted(check: (target: Target, question: RequestLine) => void): void {
  let count = 0
  fc.assert(
    fc.property(anyRequest, (question) => {
      const target = accepted(question)
      if (target === undefined) return
      count++
      check(target, question)
    }),
    { numRuns: 2_000, examples: usualRequests.map((line) => [methodAndTarget(line)]) },
  )
  expect(count).toBeGreaterThan(usualRequests.length)
}

test('any bytes give a RequestInfo, or a refusal with 400 or 405 in printable ASCII', () => {
  fc.assert(
    fc.property(anyRequest, (question) => {
      const refused = refusalOf(question)
      return (
        refused === undefined ||
        (/^40[05]$/.test(String(refused.code)) && /^[ -~]{1,200}$/.test(refused.message))
      )
    }),
    { numRuns: 3_000 },
  )
})

describe('an accepted target', () => {
  test('is forwarded byte for byte, and is accepted again with the same reading', () => {
    checkAccepted((target, question) => {
      expect(target.raw).toBe(question.target)
      expect(parseTarget(question.method, target.raw)).toEqual(target)
      const [path = '', ...query] = target.raw.split('?')
      expect(decodeURIComponent(path)).toBe(target.path)
      expect(query.join('?')).toBe(target.rawQuery)
    })
  })

  test('has the same segments and parameters in the WHATWG reading', () => {
    checkAccepted(({ raw, path, rawQuery }) => {
      const url = new URL(`http://apiserver${raw}`)
      expect(url.host).toBe('apiserver')
      expect(url.hash).toBe('')
      expect(url.pathname.split('/').map(decodeURIComponent)).toEqual(path.split('/'))
      const names = ['watch', 'limit', 'fieldSelector', 'labelSelector', 'follow'] as const
      expect(firstValues(rawQuery, names)).toEqual(
        names.map((name) => url.searchParams.get(name) ?? undefined),
      )
    })
  })

  test('does not contain empty segments, dot segments or characters that could be structure', () => {
    checkAccepted(({ path }) => {
      expect(path).toMatch(/^\/[^\\;%\p{Cc}]*$/u)
      const segments = path.split('/').slice(1)
      if (segments.at(-1) === '') segments.pop()
      for (const text of segments) expect(['', '.', '..']).not.toContain(text)
    })
  })

  test('has the same reading in another accepted spelling of its path', () => {
    checkAccepted(({ path, rawQuery }, { method }) => {
      const spelling = path.split('/').map(encodeURIComponent).join('/')
      const other = accepted({ method, target: `${spelling}?${rawQuery}` })
      expect(other).toMatchObject({ path, rawQuery })
    })
  })

  test('ends with its parts, joined by slashes', () => {
    checkAccepted((target, question) => {
      if (refusalOf(question) !== undefined) return
      const info = resolveRequestInfo(question.method, target)
      expect(info.path).toBe(target.path)
      expect(info.parts[0] ?? '').toBe(info.resource)
      const tail = info.isResourceRequest ? `/${info.parts.join('/')}` : ''
      expect(target.path.replace(/\/$/, '').endsWith(tail)).toBe(true)
    })
  })
})

test('any text without structure is accepted as a name when escaped by encodeURIComponent', () => {
  fc.assert(
    fc.property(segment, segment, segment, (namespace, resource, name) => {
      fc.pre(resource !== 'status' && resource !== 'finalize')
      const parts = [namespace, resource, name].map(encodeURIComponent)
      const target = parseTarget('GET', `/api/v1/namespaces/${parts.join('/')}`)
      expect(resolveRequestInfo('GET', target)).toMatchObject({ namespace, resource, name })
    }),
  )
})
