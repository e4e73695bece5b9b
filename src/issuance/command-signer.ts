/** Signs with a program that holds the key, such as the client of a KMS. Nothing that it prints is trusted. */
import { spawn } from 'node:child_process'

import { StatusError } from '../status.ts'
import type { Sign } from './signer.ts'

export interface CommandSignerOptions {
  /** The program, by an absolute path, and its arguments; the name of the algorithm is added. */
  readonly command: readonly string[]
  /** Milliseconds. */
  readonly timeout: number
}

export interface CommandSignerEffects {
  /** @param problem why there is no signature */
  readonly onFailure: (problem: string) => void
}

/** Programs that run at the same time, and requests that wait for one. */
const MAX_RUNNING = 4
const MAX_WAITING = 64
/** The longest signature, of an RSA key of 16384 bits, has 2732 characters. */
const MAX_OUTPUT_BYTES = 4_096
const MAX_ERROR_BYTES = 1_024
const SIGNATURE = /^[A-Za-z0-9+/\r\n]+={0,2}\s*$/

/** Creates the signer. The program is started for each signature, without a shell. */
export function createCommandSigner(
  options: CommandSignerOptions,
  { onFailure }: CommandSignerEffects,
): Sign {
  let running = 0
  const waiting: (() => void)[] = []

  async function enter(): Promise<void> {
    if (running < MAX_RUNNING) {
      running += 1
      return
    }
    if (waiting.length >= MAX_WAITING) throw unavailable('too many certificates wait to be signed')
    // The place of the one who leaves is handed over.
    await new Promise<void>((resolve) => waiting.push(resolve))
  }

  function leave(): void {
    const next = waiting.shift()
    if (next === undefined) running -= 1
    else next()
  }

  return async ({ algorithm }, tbs) => {
    await enter()
    try {
      return parseSignature(await run(options, algorithm.name, tbs))
    } catch (error) {
      const { message } = error as Error
      onFailure(message)
      throw unavailable(message)
    } finally {
      leave()
    }
  }
}

/** What the program printed. @throws Error when it failed, took too long, or printed too much */
function run(
  { command, timeout }: CommandSignerOptions,
  algorithm: string,
  tbs: Uint8Array,
): Promise<string> {
  const [program = '', ...args] = command
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args, algorithm], { stdio: ['pipe', 'pipe', 'pipe'] })
    const output: Buffer[] = []
    let [bytes, errors] = [0, '']
    const fail = (problem: string): void => {
      clearTimeout(timer)
      child.kill('SIGKILL')
      // A program that it has started may still hold the pipes.
      child.stdout.destroy()
      child.stderr.destroy()
      reject(new Error(`the command that signs ${problem}`))
    }
    const timer = setTimeout(() => fail(`took longer than ${timeout} ms`), timeout)
    child.on('error', ({ message }) => fail(`could not be started: ${message}`))
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > MAX_OUTPUT_BYTES) fail(`printed more than ${MAX_OUTPUT_BYTES} bytes`)
      else output.push(chunk)
    })
    child.stderr.on('data', (chunk: Buffer) => {
      if (errors.length < MAX_ERROR_BYTES) errors += chunk.toString('utf8')
    })
    child.on('close', (code, signal) => {
      if (code !== 0) {
        const said = errors.trim().slice(0, MAX_ERROR_BYTES)
        const how = code === null ? `was ended by ${signal ?? 'a signal'}` : `exited with ${code}`
        fail(said === '' ? how : `${how}: ${said}`)
        return
      }
      clearTimeout(timer)
      resolve(Buffer.concat(output).toString('latin1'))
    })
    // It may exit without reading; its exit code says why.
    child.stdin.on('error', () => undefined)
    child.stdin.end(tbs)
  })
}

function parseSignature(text: string): Uint8Array {
  if (!SIGNATURE.test(text)) throw new Error('the command that signs did not print base64')
  return Buffer.from(text, 'base64')
}

function unavailable(cause: string): StatusError {
  return new StatusError(
    'ServiceUnavailable',
    'no certificate can be issued at present: contact your Gatehouse administrator',
    { cause: new Error(cause) },
  )
}
