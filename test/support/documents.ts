/** The documents for operators and users, from which tests take what a reader copies. */
import { readFile, readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'

const directory = resolve(import.meta.dirname, '../../docs')

/** The names of all documents. */
export const documents = (await readdir(directory)).filter((name) => name.endsWith('.md'))

/** The code blocks of a document in a language, or of one of its sections. */
export async function blocksOf(document: string, section = '', language = 'sh'): Promise<string[]> {
  const text = await readFile(join(directory, document), 'utf8')
  const sections = text.split(/^(?=## )/m)
  const within = section === '' ? text : sections.find((one) => one.startsWith(`## ${section}\n`))
  const fence = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms')
  return [...(within ?? '').matchAll(fence)].map(([, block = '']) => block.trim())
}
