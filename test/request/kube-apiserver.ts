import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { goProgram } from '../../dev/parts/go-program.ts'
import type { RequestLine } from './hostile-requests.ts'
import type { Reading } from './vectors.ts'

/**
 * Returns how kube-apiserver's own code (dev/parts/go/requestinfo, built if necessary) reads each
 * request. Throws unless it reads all of them.
 */
export async function askKubeApiserver(questions: readonly RequestLine[]): Promise<Reading[]> {
  const child = spawn(await goProgram('requestinfo'), { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(questions.map((question) => `${JSON.stringify(question)}\n`).join(''))
  const readings = (await text(child.stdout))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Reading)
  if (readings.length !== questions.length) {
    throw new Error(`of ${questions.length} requests, ${readings.length} were read`)
  }
  return readings
}
