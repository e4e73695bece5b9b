import { createEnvironment } from '../../src/cel/environment.ts'
import { compileExpression } from '../../src/cel/compile.ts'
import { CelCostError, CelSyntaxError, CelValueError } from '../../src/cel/error.ts'
import { fromJson } from '../../src/cel/json-values.ts'
import {
  Duration,
  isOpaque,
  List,
  Optional,
  Timestamp,
  TypeValue,
  Uint,
  type Value,
} from '../../src/cel/values.ts'

const environment = createEnvironment({
  claims: 'map(string, google.protobuf.Any)',
})
const user = createEnvironment({
  user: {
    message: 'kubernetes.UserInfo',
    fields: {
      ...{ username: 'string', uid: 'string', groups: 'list(string)' },
      extra: 'map(string, list(string))',
    },
  },
})

/** What an expression is, in the form of the Go program dev/parts/go/authentication. */
export interface ExpressionReading {
  readonly type?: string
  /** It does not compile. */
  readonly invalid?: string
  /** It has no value for these claims. */
  readonly refused?: string
  readonly value?: string
}

export interface ExpressionQuestion {
  readonly variable: 'claims' | 'user'
  readonly expression: string
  readonly claims?: unknown
}

/** Compiles an expression, and evaluates it if there are claims. */
export function readExpression({
  variable,
  expression,
  claims,
}: ExpressionQuestion): ExpressionReading {
  try {
    const compiled = compileExpression(expression, variable === 'user' ? user : environment)
    const { type } = compiled
    if (claims === undefined) return { type }
    try {
      return { type, value: show(compiled.evaluate({ [variable]: fromJson(claims) })) }
    } catch (error) {
      if (error instanceof CelValueError || error instanceof CelCostError) {
        return { type, refused: error.message }
      }
      throw error
    }
  } catch (error) {
    if (error instanceof CelSyntaxError) return { invalid: error.message }
    throw error
  }
}

/** Writes a value as the Go program writes it. */
export function show(value: Value): string {
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'number') return showDouble(value)
  return value !== null && typeof value === 'object' ? showObject(value) : String(value)
}

function showObject(value: Exclude<Value, string | number | bigint | boolean | null>): string {
  if (value instanceof List) return `[${value.items.map(show).join(' ')}]`
  if (value instanceof Uint) return `${value.value}u`
  if (value instanceof Uint8Array) return `b${Buffer.from(value).toString('hex')}`
  if (value instanceof Timestamp) return showTimestamp(value)
  if (value instanceof Duration) return `duration ${value.nanoseconds}`
  if (value instanceof Optional) {
    return value.content === undefined ? 'none' : `some ${show(value.content)}`
  }
  if (value instanceof TypeValue) return `type ${value.name}`
  if (isOpaque(value)) return value.opaqueType
  const entries = Array.from(value.entries(), ([key, item]) => `${show(key)}: ${show(item)}`)
  return `{${entries.sort().join(' ')}}`
}

function showTimestamp(value: Timestamp): string {
  const second = 1_000_000_000n
  const nanoseconds = ((value.nanoseconds % second) + second) % second
  const seconds = (value.nanoseconds - nanoseconds) / second
  return `timestamp ${seconds}.${String(nanoseconds).padStart(9, '0')}`
}

function showDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  if (Object.is(value, -0)) return '-0e+00'
  return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2')
}

/** Go's strconv.QuoteToASCII. */
function quote(text: string): string {
  const short: Record<string, string> = {
    ...{ '\u0007': '\\a', '\b': '\\b', '\f': '\\f', '\n': '\\n', '\r': '\\r', '\t': '\\t' },
    ...{ '\v': '\\v', '"': '\\"', '\\': '\\\\' },
  }
  // eslint-disable-next-line no-control-regex -- they are written as escapes
  const escaped = text.replace(/["\\\x00-\x1f\x7f]|[^\x00-\x7f]/gu, (character) => {
    const code = character.codePointAt(0)!
    if (short[character] !== undefined) return short[character]
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`
    return code > 0xffff
      ? `\\U${code.toString(16).padStart(8, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`
  })
  return `"${escaped}"`
}
