/**
 * Writes vectors.jsonl next to this file: kube-apiserver's reading of usual and hostile requests. Needs
 * Go. Run it after a change of the version of k8s.io/apiserver in dev/parts/go/requestinfo/go.mod, or
 * of the generators of requests:
 *
 *     node test/request/vectors.generate.ts
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hostileRequests } from './hostile-requests.ts'
import { askKubeApiserver } from './kube-apiserver.ts'
import { methodAndTarget, usualRequests } from './usual-requests.ts'
import { formatVectors } from './vectors.ts'

const SEED = 20_180_626
const COUNT = 3_500

const questions = [...usualRequests.map(methodAndTarget), ...hostileRequests(SEED, COUNT)]
const readings = await askKubeApiserver(questions)
await writeFile(join(import.meta.dirname, 'vectors.jsonl'), formatVectors(questions, readings))
