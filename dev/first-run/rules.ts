import { readFile, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** config/rules.yaml as it is shipped: everything that RBAC allows, but for the proxy subresources. */
const shipped = resolve(import.meta.dirname, '../../config/rules.yaml')

/** Copies it, to be edited; an editor finds the JSON Schema from there, too. */
export async function copyShippedRules(file: string): Promise<void> {
  const text = await readFile(shipped, 'utf8')
  const withSchema = text.replace(/(?<=^# yaml-language-server: \$schema=).+$/m, (schema) =>
    resolve(dirname(shipped), schema),
  )
  await writeFile(file, withSchema)
}
