/**
 * Writes vectors.jsonl next to this file: how kube-apiserver's own code reads expressions. Needs Go. Run
 * it after a change of a version in dev/parts/go/authentication/go.mod, or of the expressions:
 *
 *     node test/cel/vectors.generate.ts
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { askKubernetes, formatLines } from '../support/kubernetes-authentication.ts'
import { questionOf, readingOf, storedExpressions } from './vectors.ts'

const expressions = storedExpressions()
const verdicts = await askKubernetes(expressions.map(questionOf))
const vectors = verdicts.map((verdict, i) => [expressions[i], readingOf(verdict)])
await writeFile(join(import.meta.dirname, 'vectors.jsonl'), formatLines(vectors))
