/** What the checks of fields against each other have in common. They take bare data of gatehouse.yaml. */
import { valueAt, type Path } from '../path.ts'

export type AddProblem = (field: Path, message: string, fix: string) => void

/** Whether a field is there and has a value. */
export function has(raw: object, ...field: Path): boolean {
  return valueAt(raw, field) !== undefined
}

/**
 * Finds the entries of a list that have the name of an earlier one.
 *
 * @param key the field with the name
 * @param add called with the path of that field, and with the name in quotes
 */
export function addRepeated(
  raw: object,
  list: Path,
  key: string,
  add: (field: Path, name: string) => void,
): void {
  const entries = valueAt(raw, list)
  if (!Array.isArray(entries)) return
  const names = entries.map((_, i) => valueAt(entries, [i, key]))
  names.forEach((name, i) => {
    if (typeof name !== 'string' || names.indexOf(name) === i) return
    add([...list, i, key], JSON.stringify(name))
  })
}
