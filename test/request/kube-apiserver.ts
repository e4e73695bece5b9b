import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { goProgram } from '../../dev/parts/go-program.ts'
import type { Question } from './hostile-requests.ts'
import type { Answer } from './vectors.ts'

/**
 * Asks kube-apiserver's own code (dev/parts/go/requestinfo, built if need be) what each request is.
 * Throws when it does not answer every one.
 */
export async function askKubeApiserver(questions: readonly Question[]): Promise<Answer[]> {
  const child = spawn(await goProgram('requestinfo'), { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(questions.map((question) => `${JSON.stringify(question)}\n`).join(''))
  const answers = (await text(child.stdout))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Answer)
  if (answers.length !== questions.length) {
    throw new Error(`${questions.length} requests were asked about, ${answers.length} answered`)
  }
  return answers
}
