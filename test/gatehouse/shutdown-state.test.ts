/** The end of the shutdown: Redis gets what this replica has admitted, if it responds. */
import { expect, test } from 'vitest'

import { createShutdown, type ShutdownOptions } from '../../src/gatehouse/shutdown.ts'
import { memoryLog } from '../audit/fixtures.ts'

/** @param stopped resolves when Redis has everything */
function shutdownWith(stopped: Promise<void>) {
  const steps: string[] = []
  const step = (name: string) => () => {
    steps.push(name)
    return Promise.resolve()
  }
  const parts = {
    listener: { drain: () => undefined, destroy: step('listener') },
    probes: { close: step('probes') },
    live: { size: 0, cutAll: () => undefined },
    upstream: { destroy: step('upstream') },
    auditor: { close: step('audit') },
    openExchanges: () => 0,
    stopBackground: () => stopped.then(step('state')),
    log: memoryLog().log,
    ...{ delay: 0, gracePeriod: 0 },
  }
  return { shutdown: createShutdown(parts as unknown as ShutdownOptions), steps }
}

test('the shutdown ends after Redis has what was admitted', async () => {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const { shutdown, steps } = shutdownWith(promise)
  const closed = shutdown.run()
  await expect.poll(() => steps).toEqual(['listener', 'upstream', 'audit'])
  resolve(undefined)
  await closed
  expect(steps).toEqual(['listener', 'upstream', 'audit', 'state', 'probes'])
})

test('a Redis that never responds does not hold the shutdown up', async () => {
  const { shutdown, steps } = shutdownWith(new Promise(() => undefined))
  await shutdown.run()
  expect(steps).toEqual(['listener', 'upstream', 'audit', 'probes'])
})
