/** Random responses, valid and damaged: read in any pieces, and compared with undici and `node:http`. */
import { deepStrictEqual } from 'node:assert'

import fc from 'fast-check'

import { findDifference } from '../upstream/http1/differences.ts'
import { startOracles } from '../upstream/http1/oracles.ts'
import { damagedResponse, validResponse } from '../upstream/http1/random-responses.ts'
import { readOwn } from '../upstream/http1/read-response.ts'

const RUNS = 400
const splits = fc.array(fc.nat({ max: 3_000 }), { maxLength: 20 })

/** Returns the number of responses; rejects with the smallest one that is read wrongly. */
export async function fuzzReader(seed: number): Promise<number> {
  const oracles = await startOracles()
  try {
    fc.assert(
      fc.property(validResponse, splits, ({ method, bytes, expected }, at) => {
        const { verdict, rest } = readOwn(bytes, { method, splits: at })
        deepStrictEqual({ verdict, rest }, { verdict: expected, rest: 0 })
      }),
      { seed, numRuns: RUNS },
    )
    fc.assert(
      fc.property(damagedResponse, splits, ({ method, bytes }, at) => {
        const [inPieces, whole] = [
          readOwn(bytes, { method, splits: at }),
          readOwn(bytes, { method }),
        ]
        // Which of two faults is found first depends on the pieces.
        if ('refused' in whole.verdict) deepStrictEqual('refused' in inPieces.verdict, true)
        else deepStrictEqual(inPieces, whole)
      }),
      { seed, numRuns: RUNS },
    )
    for (const responses of [validResponse, damagedResponse]) {
      await fc.assert(
        fc.asyncProperty(fc.oneof(responses), async (response) => {
          deepStrictEqual(await findDifference(response, oracles), undefined)
        }),
        { seed, numRuns: RUNS },
      )
    }
    return 4 * RUNS
  } finally {
    await oracles.close()
  }
}
