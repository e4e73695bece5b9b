/** Compares with kube-apiserver's own requestinfo.go, with new random requests in each run. */
import { expect, test } from 'vitest'
import { goIsSufficient } from '../../dev/parts/go-build.ts'
import { OLDEST_GO } from '../../dev/parts/versions.ts'
import { hostileRequests } from '../request/hostile-requests.ts'
import { askKubeApiserver } from '../request/kube-apiserver.ts'
import {
  gatehouseReading,
  isSafeReading,
  isSameReading,
  unrefusedReading,
} from '../request/vectors.ts'

const hasGo = await goIsSufficient()
if (!hasGo) {
  process.stderr.write(
    `SKIPPED, not tested: RequestInfo against requestinfo.go. Install Go ${OLDEST_GO} or newer (https://go.dev/dl).\n`,
  )
}

test.skipIf(!hasGo)('a request is refused or read as kube-apiserver reads it', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const questions = hostileRequests(seed, 20_000)
  const answers = await askKubeApiserver(questions)
  const accepted = questions.filter((question) => typeof gatehouseReading(question) !== 'number')
  const different = questions.filter((question, i) => {
    const answer = answers[i]!
    if (!isSafeReading(gatehouseReading(question), answer)) return true
    const reading = answer.refused === 'parse' ? undefined : unrefusedReading(question)
    return reading !== undefined && !isSameReading(reading, answer)
  })
  expect(different, `seed ${seed}`).toEqual([])
  expect(accepted.length).toBeGreaterThan(questions.length / 3)
})
