/** The common form of all API objects, as plain JSON, and access to their fields. */

/** A JSON object. */
export type Json = Record<string, unknown>

/** The fields of `metav1.ObjectMeta` that the playground reads. */
export interface ObjectMeta extends Json {
  readonly name: string
  readonly namespace?: string
  readonly uid: string
  readonly resourceVersion: string
  readonly creationTimestamp: string
  readonly labels?: Readonly<Record<string, string>>
}

/** A stored object. It is never changed, only replaced. */
export interface KubernetesObject extends Json {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
}

/** Whether a value is a JSON object. */
export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The current time as `metav1.Time`: RFC 3339, in seconds. */
export function timestamp(): string {
  return new Date().toISOString().replace(/\.\d+/, '')
}

/** The object at a path of fields; empty if there is none. */
export function objectAt(value: unknown, ...path: readonly string[]): Json {
  const found = path.reduce((at, field) => (isJson(at) ? at[field] : undefined), value)
  return isJson(found) ? found : {}
}

/** The list at a path of fields; empty if there is none. */
export function listAt(value: Json, ...path: readonly string[]): readonly unknown[] {
  const field = path.at(-1) ?? ''
  const found = objectAt(value, ...path.slice(0, -1))[field]
  return Array.isArray(found) ? (found as unknown[]) : []
}

/** The string at a path of fields; `''` if there is none. */
export function stringAt(value: Json, ...path: readonly string[]): string {
  const found = objectAt(value, ...path.slice(0, -1))[path.at(-1) ?? '']
  return typeof found === 'string' ? found : ''
}
