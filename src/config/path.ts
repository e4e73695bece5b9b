/** Paths of fields in documents: how they are named, and what stands there. */

export type Path = readonly (string | number)[]

/** `rules[3].resources[0].apiGroups` */
export function fieldName(path: Path): string {
  let name = ''
  for (const part of path) {
    if (typeof part === 'number') name += `[${part}]`
    else name += name === '' ? part : `.${part}`
  }
  return name
}

/** The value at a path of bare data; undefined when there is none. */
export function valueAt(raw: unknown, path: Path): unknown {
  let value = raw
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<string | number, unknown>)[part]
  }
  return value
}
