import { expect, test } from 'vitest'

import { createMetrics } from '../../src/metrics.ts'
import { startProbes, type Check } from '../../src/probes/probes.ts'

const good = (name: string): Check => ({ name, run: () => undefined })
const ISSUER = 'jwks https://issuer.test'

test('a scrape has the result of /readyz, and whether each check has a problem', async () => {
  let checks: readonly Check[] = [
    good('audit'),
    { ...good(ISSUER), note: () => 'connect ECONNREFUSED' },
  ]
  const metrics = createMetrics({ processMetrics: false })
  const probes = await startProbes(
    { address: '127.0.0.1', port: 0, checks: () => checks },
    { metrics },
  )
  const url = `http://127.0.0.1:${probes.address.port}`
  const scrape = async () => {
    const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n')
    const { status } = await fetch(`${url}/readyz`)
    return { status, lines: lines.filter((line) => /^gatehouse_(ready|check_ok)\b/.test(line)) }
  }
  try {
    // A note does not fail readiness, but the metric shows it.
    expect(await scrape()).toEqual({
      status: 200,
      lines: [
        'gatehouse_ready 1',
        'gatehouse_check_ok{check="audit"} 1',
        `gatehouse_check_ok{check="${ISSUER}"} 0`,
      ],
    })
    checks = [{ name: 'audit', run: () => 'file: ENOSPC' }]
    expect(await scrape()).toEqual({
      status: 503,
      lines: ['gatehouse_ready 0', 'gatehouse_check_ok{check="audit"} 0'],
    })
  } finally {
    await probes.close()
  }
})
