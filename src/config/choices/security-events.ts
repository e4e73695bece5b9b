/** Checks of `authentication.securityEvents` that concern more than one field. */
import { valueAt, type Path } from '../path.ts'
import { addRepeated, has, type AddProblem } from './add-problem.ts'

const TRANSMITTERS: Path = ['authentication', 'securityEvents', 'transmitters']
/** Without effect on keys from a file. */
const KEY_FIELDS = ['configurationURL', 'cachedKeyLifetime'] as const
const CONNECTION_FIELDS = ['certificateAuthorityFile', 'proxy'] as const

export function checkSecurityEvents(raw: object, add: AddProblem): void {
  const transmitters = valueAt(raw, TRANSMITTERS)
  if (!Array.isArray(transmitters) || transmitters.length === 0) return
  if (!has(raw, 'authentication', 'configFile')) {
    const message = 'has no effect without configFile: events are about users of issuers'
    add(TRANSMITTERS, message, 'remove it')
  }
  addRepeated(raw, TRANSMITTERS, 'issuer', (field, name) =>
    add(field, `${name} is listed twice`, 'write one entry for each transmitter'),
  )
  checkIssuers(transmitters, add)
  transmitters.forEach((_, i) => {
    checkDelivery(transmitters, i, add)
    if (!has(transmitters, i, 'jwksFile')) return
    const isPolled = has(transmitters, i, 'poll')
    for (const field of isPolled ? KEY_FIELDS : [...KEY_FIELDS, ...CONNECTION_FIELDS]) {
      if (!has(transmitters, i, field)) continue
      const message = 'has no effect with jwksFile: nothing is fetched from the transmitter'
      add([...TRANSMITTERS, i, field], message, 'remove it, or jwksFile')
    }
  })
}

/** A stream of events has one method of delivery. */
function checkDelivery(transmitters: object, i: number, add: AddProblem): void {
  const [push, poll] = [has(transmitters, i, 'push'), has(transmitters, i, 'poll')]
  if (push !== poll) return
  const message = push ? 'has push and poll' : 'does not say how its events come'
  add([...TRANSMITTERS, i], message, 'set one of push, poll')
}

/** Two transmitters could contradict each other about a user. */
function checkIssuers(transmitters: readonly unknown[], add: AddProblem): void {
  const known = new Set<unknown>()
  transmitters.forEach((_, i) => {
    const urls = valueAt(transmitters, [i, 'issuers'])
    for (const [j, url] of (Array.isArray(urls) ? (urls as unknown[]) : []).entries()) {
      if (known.has(url)) {
        const message = `${JSON.stringify(url)} is listed twice`
        const fix = 'list each issuer once, for one transmitter'
        add([...TRANSMITTERS, i, 'issuers', j], message, fix)
      }
      known.add(url)
    }
  })
}
