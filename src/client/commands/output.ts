import { stringify } from 'yaml'

/** The formats of `--output`. */
export const OUTPUTS = ['table', 'json', 'yaml'] as const
export type Output = (typeof OUTPUTS)[number]

/** A value as people or programs read it; `rows` is the table. */
export function formatted(
  output: Output,
  value: object,
  rows: readonly (readonly [label: string, text: string])[],
): string {
  if (output === 'json') return `${JSON.stringify(value, undefined, 2)}\n`
  if (output === 'yaml') return stringify(value)
  const width = Math.max(...rows.map(([label]) => label.length)) + 2
  return rows.map(([label, text]) => `${label.padEnd(width)}${text}\n`).join('')
}

/** Lines of columns that are as wide as their longest text, two blanks apart. */
export function columns(lines: readonly (readonly string[])[]): string {
  const width = (column: number): number =>
    Math.max(...lines.map((line) => (line[column] ?? '').length))
  return lines
    .map((line) => line.map((text, column) => text.padEnd(width(column))).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}
