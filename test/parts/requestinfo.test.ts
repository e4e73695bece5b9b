/** Compares with kube-apiserver's own requestinfo.go, with new random requests in each run. */
import { beforeAll, expect, test } from 'vitest'
import { goIsSufficient } from '../../dev/parts/go-build.ts'
import { goProgram } from '../../dev/parts/go-program.ts'
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

// On a new machine, the build takes minutes.
beforeAll(async () => {
  if (hasGo) await goProgram('requestinfo')
})

test.skipIf(!hasGo)('a request is refused or read as kube-apiserver reads it', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const requests = hostileRequests(seed, 20_000)
  const readings = await askKubeApiserver(requests)
  const accepted = requests.filter((request) => typeof gatehouseReading(request) !== 'number')
  const different = requests.filter((request, i) => {
    const theirs = readings[i]!
    if (!isSafeReading(gatehouseReading(request), theirs)) return true
    const ours = theirs.refused === 'parse' ? undefined : unrefusedReading(request)
    return ours !== undefined && !isSameReading(ours, theirs)
  })
  expect(different, `seed ${seed}`).toEqual([])
  expect(accepted.length).toBeGreaterThan(requests.length / 3)
})
