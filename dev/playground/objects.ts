/** What all objects of the API have in common, as plain JSON. */

/** Anything between braces in JSON. */
export type Json = Record<string, unknown>

/** `metav1.ObjectMeta`, as far as the playground reads it. */
export interface ObjectMeta extends Json {
  readonly name: string
  readonly namespace?: string
  readonly uid: string
  readonly resourceVersion: string
  readonly creationTimestamp: string
  readonly labels?: Readonly<Record<string, string>>
}

/** An object as it is stored; never changed, only replaced. */
export interface KubernetesObject extends Json {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
}

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The object at a path of fields; empty where there is none. */
export function objectAt(value: unknown, ...path: readonly string[]): Json {
  const found = path.reduce((at, field) => (isJson(at) ? at[field] : undefined), value)
  return isJson(found) ? found : {}
}

/** The list at a path of fields; empty where there is none. */
export function listAt(value: Json, ...path: readonly string[]): readonly unknown[] {
  const field = path.at(-1) ?? ''
  const found = objectAt(value, ...path.slice(0, -1))[field]
  return Array.isArray(found) ? (found as unknown[]) : []
}

/** The string in a field; `''` where there is none. */
export function stringAt(value: Json, ...path: readonly string[]): string {
  const found = objectAt(value, ...path.slice(0, -1))[path.at(-1) ?? '']
  return typeof found === 'string' ? found : ''
}
