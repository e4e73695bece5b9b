/**
 * The patches that kubectl sends: JSON (RFC 6902), merge (RFC 7386), strategic merge for the lists
 * of pods and services, and server-side apply without field managers.
 */
import { parse } from 'yaml'
import { isJson, type Json } from './objects.ts'
import { Refusal } from './status.ts'

/** The media type of server-side apply. */
export const APPLY_PATCH = 'application/apply-patch+yaml'

/**
 * Applies a patch of a media type to an object and returns the result; the object itself is not
 * changed. Throws a Refusal (BadRequest, Invalid, UnsupportedMediaType).
 */
export function applyPatchTo(object: Json, mediaType: string, body: string): Json {
  switch (mediaType) {
    case 'application/json-patch+json':
      return jsonPatch(object, parseBody(body))
    case 'application/merge-patch+json':
      return mergePatch(object, jsonOf(parseBody(body)))
    case 'application/strategic-merge-patch+json':
    case APPLY_PATCH:
      return strategicMerge(object, jsonOf(parseBody(body)))
    default:
      throw new Refusal(
        'UnsupportedMediaType',
        `the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, ${APPLY_PATCH}`,
      )
  }
}

/** Parses a body in JSON or YAML. Throws a Refusal (BadRequest). */
export function parseBody(body: string): unknown {
  try {
    const first = body.trimStart().charAt(0)
    if (first === '{' || first === '[') return JSON.parse(body) as unknown
    return parse(body, { maxAliasCount: 0 }) as unknown
  } catch (error) {
    throw new Refusal('BadRequest', `the body cannot be parsed: ${(error as Error).message}`)
  }
}

/** Checks that a body is an object. Throws a Refusal (BadRequest). */
export function jsonOf(value: unknown): Json {
  if (!isJson(value)) throw new Refusal('BadRequest', 'the body must be an object')
  return value
}

function mergePatch(target: unknown, patch: Json): Json {
  const merged: Json = isJson(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) Reflect.deleteProperty(merged, key)
    else merged[key] = isJson(value) ? mergePatch(merged[key], value) : value
  }
  return merged
}

/** Lists that are merged by a key of their items (`patchMergeKey` in k8s.io/api/core/v1). */
const mergeKeys: Readonly<Record<string, readonly string[]>> = {
  containers: ['name'],
  initContainers: ['name'],
  ephemeralContainers: ['name'],
  env: ['name'],
  volumes: ['name'],
  imagePullSecrets: ['name'],
  volumeMounts: ['mountPath'],
  ports: ['containerPort', 'port'],
  conditions: ['type'],
}

function strategicMerge(target: unknown, patch: Json): Json {
  const merged: Json = isJson(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$')) continue
    if (value === null) Reflect.deleteProperty(merged, key)
    else if (isJson(value)) {
      merged[key] = strategicMerge(value['$patch'] === 'replace' ? {} : merged[key], value)
    } else if (Array.isArray(value)) merged[key] = mergeList(key, merged[key], value as unknown[])
    else merged[key] = value
  }
  return retainKeys(merged, patch['$retainKeys'])
}

function retainKeys(merged: Json, kept: unknown): Json {
  if (!Array.isArray(kept)) return merged
  return Object.fromEntries(Object.entries(merged).filter(([key]) => kept.includes(key)))
}

function mergeList(field: string, target: unknown, patch: readonly unknown[]): readonly unknown[] {
  const items = patch.filter(isJson)
  const mergeKey = mergeKeys[field]?.find((key) => items.some((item) => item[key] !== undefined))
  if (mergeKey === undefined || !Array.isArray(target)) {
    return patch.filter((item) => !(isJson(item) && item['$patch'] !== undefined))
  }
  const merged = [...(target as unknown[])]
  for (const item of items) {
    const at = merged.findIndex((other) => isJson(other) && other[mergeKey] === item[mergeKey])
    if (item['$patch'] === 'delete') merged.splice(at, at < 0 ? 0 : 1)
    else if (at < 0) merged.push(strategicMerge({}, item))
    else merged[at] = strategicMerge(merged[at], item)
  }
  return merged
}

function jsonPatch(object: Json, operations: unknown): Json {
  if (!Array.isArray(operations)) throw new Refusal('BadRequest', 'a JSON patch must be a list')
  let root: unknown = structuredClone(object)
  for (const operation of operations as unknown[]) root = operate(root, jsonOf(operation))
  return jsonOf(root)
}

function operate(root: unknown, operation: Json): unknown {
  const path = pointer(operation['path'])
  switch (operation['op']) {
    case 'add':
      return change(root, path, 'add', operation['value'])
    case 'replace':
      return change(root, path, 'replace', operation['value'])
    case 'remove':
      return change(root, path, 'remove', undefined)
    case 'test': {
      const same = JSON.stringify(lookUp(root, path)) === JSON.stringify(operation['value'])
      if (same) return root
      throw new Refusal('Invalid', `testing path ${String(operation['path'])} failed`)
    }
    case 'copy':
      return change(root, path, 'add', structuredClone(lookUp(root, pointer(operation['from']))))
    case 'move': {
      const from = pointer(operation['from'])
      const value = lookUp(root, from)
      return change(change(root, from, 'remove', undefined), path, 'add', value)
    }
    default:
      throw new Refusal('BadRequest', `unknown operation ${JSON.stringify(operation['op'])}`)
  }
}

/** Splits a JSON pointer (RFC 6901) into its parts. */
function pointer(text: unknown): readonly string[] {
  if (typeof text !== 'string' || (text !== '' && !text.startsWith('/'))) {
    throw new Refusal('BadRequest', `${JSON.stringify(text)} is not a JSON pointer`)
  }
  return text
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function lookUp(root: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, part) => {
    if (Array.isArray(at)) return (at as unknown[])[Number(part)]
    return isJson(at) ? at[part] : undefined
  }, root)
}

type Change = 'add' | 'replace' | 'remove'

function change(root: unknown, path: readonly string[], how: Change, value: unknown): unknown {
  const last = path.at(-1)
  if (last === undefined) return value
  const parent = lookUp(root, path.slice(0, -1))
  if (Array.isArray(parent)) {
    changeList(parent as unknown[], last, how, value)
    return root
  }
  if (!isJson(parent) || (how !== 'add' && !(last in parent))) throw missing(last)
  if (how === 'remove') Reflect.deleteProperty(parent, last)
  else parent[last] = value
  return root
}

function changeList(list: unknown[], last: string, how: Change, value: unknown): void {
  const at = last === '-' ? list.length : Number(last)
  if (!Number.isInteger(at) || at < 0 || at > list.length) throw missing(last)
  list.splice(at, how === 'add' ? 0 : 1, ...(how === 'remove' ? [] : [value]))
}

function missing(last: string): Refusal {
  return new Refusal(
    'Invalid',
    `${JSON.stringify(last)} does not exist at the path of a JSON patch`,
  )
}
