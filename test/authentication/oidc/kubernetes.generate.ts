/**
 * Writes documents.jsonl and tokens.jsonl next to this file: how kube-apiserver's own code judges
 * AuthenticationConfigurations, and tokens for them. Needs Go. Run it after a change of a version in
 * dev/parts/go/authentication/go.mod, or of the corpora:
 *
 *     node test/authentication/oidc/kubernetes.generate.ts
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { askKubernetes, formatLines } from '../../support/kubernetes-authentication.ts'
import { byDocument, fieldsOf, storedDocuments, storedTokens } from './kubernetes.ts'

const documents = storedDocuments()
const readings = await askKubernetes(documents.map(({ document }) => ({ document })))
const vectors = documents.map(({ document, stricter }, i) => [
  ...[document, stricter ?? null, fieldsOf(readings[i]!)],
])
await writeFile(join(import.meta.dirname, 'documents.jsonl'), formatLines(vectors))

const tokens = storedTokens()
const verdicts = await askKubernetes(tokens)
await writeFile(
  join(import.meta.dirname, 'tokens.jsonl'),
  formatLines(byDocument(tokens, verdicts)),
)
