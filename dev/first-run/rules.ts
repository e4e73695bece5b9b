import { readFile, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** config/rules.yaml: allows everything that RBAC allows, except the proxy subresources. */
const shipped = resolve(import.meta.dirname, '../../config/rules.yaml')

/** Copies the shipped rules to a file that a user may edit, with an absolute path to their schema. */
export async function copyShippedRules(file: string): Promise<void> {
  const text = await readFile(shipped, 'utf8')
  const withSchema = text.replace(/(?<=^# yaml-language-server: \$schema=).+$/m, (schema) =>
    resolve(dirname(shipped), schema),
  )
  await writeFile(file, withSchema)
}
