/** The server as the package has it: one script that includes the libraries, and its code cache. */
import type { Script } from 'node:vm'

import { unpackCodeCache } from './code-cache.ts'

// Importing a module of Node evaluates all of its exports, which takes 5 ms for `node:fs`.
const { readFileSync } = process.getBuiltinModule('node:fs')
const { createRequire } = process.getBuiltinModule('node:module')
const { join } = process.getBuiltinModule('node:path')
const { pathToFileURL } = process.getBuiltinModule('node:url')
const vm = process.getBuiltinModule('node:vm')

export type ServerCommands = typeof import('./server-commands.ts')

/** Names of the files, in one directory. */
export const SERVER_SCRIPT = 'gatehouse.cjs'
export const SERVER_CODE = 'gatehouse.cache'

export interface ServerScript {
  /** The bytes of the file, which are ASCII. */
  readonly text: Buffer
  readonly script: Script
  readonly commands: ServerCommands
}

type Evaluate = (exports: ServerCommands, require: NodeJS.Require) => void

/**
 * Loads and evaluates the script, which starts nothing. Without a code cache that fits, this takes longer
 * and does the same.
 */
export function loadServerScript(directory: string): ServerScript {
  const file = join(directory, SERVER_SCRIPT)
  const text = readFileSync(file)
  const cachedData = readCode(join(directory, SERVER_CODE), text)
  const filename = pathToFileURL(file).href
  const script = new vm.Script(text.toString('latin1'), {
    filename,
    ...(cachedData === undefined ? {} : { cachedData }),
  })
  const commands = {} as ServerCommands
  const evaluate = script.runInThisContext() as Evaluate
  evaluate(commands, createRequire(filename))
  return { text, script, commands }
}

function readCode(file: string, text: Buffer): Buffer | undefined {
  try {
    return unpackCodeCache(text, readFileSync(file))
  } catch {
    return undefined
  }
}
