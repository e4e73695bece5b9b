/** docs/operations.md lists the messages of the log at level warn and above. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

import ts from 'typescript'
import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const LEVELS: ReadonlySet<string> = new Set(['warn', 'error', 'fatal'])

/** The messages that are written where they are logged. */
function messagesOf(file: string): readonly string[] {
  const text = readFileSync(join(root, file), 'utf8')
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
      const message = node.arguments.at(-1)
      const isLogged = LEVELS.has(node.expression.name.text) && message !== undefined
      if (isLogged && ts.isStringLiteralLike(message)) found.push(message.text)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest))
  return found
}

test('every warning and error of the log is explained', () => {
  const explained = readFileSync(join(root, 'docs/operations.md'), 'utf8')
  const sources = execFileSync('git', ['ls-files', 'src/*.ts'], { cwd: root, encoding: 'utf8' })
  const messages = sources
    .trim()
    .split('\n')
    // The commands of users have no log.
    .filter((file) => !file.startsWith('src/client/'))
    .flatMap((file) => messagesOf(file))
  expect(messages.length).toBeGreaterThan(30)
  expect(messages.filter((message) => !explained.includes(`\`${message}\``))).toEqual([])
})
