import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { goProgram } from '../../dev/parts/go-program.ts'

/** A question to the Go program dev/parts/go/authentication. */
export interface KubernetesQuestion {
  readonly document?: string
  readonly payload?: string
  readonly variable?: 'claims' | 'user'
  readonly expression?: string
  readonly claims?: unknown
  readonly functions?: true
}

export interface KubernetesUser {
  readonly username: string
  readonly uid?: string
  readonly groups?: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

/** What kube-apiserver's own code says; what does not apply is absent. */
export interface KubernetesVerdict {
  readonly problems?: readonly string[]
  readonly user?: KubernetesUser
  readonly refused?: string
  readonly type?: string
  readonly invalid?: string
  readonly value?: string
  /** Signatures by the name of the function. */
  readonly functions?: Readonly<Record<string, readonly string[]>>
}

/** Asks kube-apiserver's own code, built if necessary. Throws unless it answers all questions. */
export async function askKubernetes(
  questions: readonly KubernetesQuestion[],
): Promise<KubernetesVerdict[]> {
  const child = spawn(await goProgram('authentication'), { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(questions.map((question) => `${JSON.stringify(question)}\n`).join(''))
  const verdicts = parseLines<KubernetesVerdict>(await text(child.stdout))
  if (verdicts.length !== questions.length) {
    throw new Error(`of ${questions.length} questions, ${verdicts.length} were answered`)
  }
  return verdicts
}

/** Reads one value of JSON from each line. */
export function parseLines<T>(lines: string): T[] {
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)
}

/** Writes one value per line, so that a diff between two versions is readable. */
export function formatLines(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join('')
}
