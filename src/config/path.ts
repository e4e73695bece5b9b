/** Paths of fields in documents. */

export type Path = readonly (string | number)[]

/** Such as `rules[3].resources[0].apiGroups`. */
export function fieldName(path: Path): string {
  let name = ''
  for (const part of path) {
    if (typeof part === 'number') name += `[${part}]`
    else name += name === '' ? part : `.${part}`
  }
  return name
}

/** The path that `fieldName` gave this name. */
export function parseFieldName(name: string): Path {
  return Array.from(name.matchAll(/\[(\d+)\]|[^.[\]]+/g), ([part, index]) =>
    index === undefined ? part : Number(index),
  )
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
