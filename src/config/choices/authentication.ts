/** Checks of `authentication` that concern more than one field. */
import { valueAt, type Path } from '../path.ts'
import { SIGN_IN_FIELDS } from '../schema/authentication.ts'
import { GROUP_SOURCE_FIELDS } from '../schema/group-source.ts'
import { addRepeated, has, type AddProblem } from './add-problem.ts'
import { checkServers } from './directory-servers.ts'
import { checkIssuedCertificates } from './issued-certificates.ts'
import { checkSecurityEvents } from './security-events.ts'

/** Checks that there is an authentication method, and that the options of issuers fit each other. */
export function checkAuthentication(raw: object, add: AddProblem): void {
  const authentication = valueAt(raw, ['authentication'])
  if (typeof authentication !== 'object' || authentication === null) return
  checkIssuers(raw, authentication, add)
  checkSecurityEvents(raw, add)
  checkIssuedCertificates(raw, add)
  if (SIGN_IN_FIELDS.some((field) => has(authentication, field))) return
  const message = 'no authentication method is configured'
  add(['authentication'], message, `set one or more of ${SIGN_IN_FIELDS.join(', ')}`)
}

/** Options that are for no issuer, or whose entry another one hides, would silently do nothing. */
function checkIssuers(raw: object, authentication: object, add: AddProblem): void {
  const issuers = valueAt(authentication, ['issuers'])
  if (!Array.isArray(issuers) || issuers.length === 0) return
  if (!has(authentication, 'configFile')) {
    add(['authentication', 'issuers'], 'has no effect without configFile', 'remove it')
  }
  addRepeated(raw, ['authentication', 'issuers'], 'url', (field, url) =>
    add(field, `${url} is listed twice`, 'write one entry for each issuer'),
  )
  issuers.forEach((_, i) => {
    if (!has(issuers, i, 'groupSource')) return
    checkGroupsOfDirectory(valueAt(issuers, [i, 'groupSource']), i, add)
    const kinds = GROUP_SOURCE_FIELDS.filter((kind) => has(issuers, i, 'groupSource', kind))
    if (kinds.length === 1) return
    const message = kinds.length === 0 ? 'names no source' : `has ${kinds.join(' and ')}`
    const fix = `set one of ${GROUP_SOURCE_FIELDS.join(', ')}`
    add(['authentication', 'issuers', i, 'groupSource'], message, fix)
  })
  issuers.forEach((_, i) => {
    if (!has(issuers, i, 'jwksFile')) return
    for (const field of ['certificateAuthorityFile', 'proxy', 'cachedKeyLifetime']) {
      if (!has(issuers, i, field)) continue
      const message = 'has no effect with jwksFile: nothing is fetched from the issuer'
      add(['authentication', 'issuers', i, field], message, 'remove it, or jwksFile')
    }
  })
}

function checkGroupsOfDirectory(groupSource: unknown, i: number, add: AddProblem): void {
  const ldap = valueAt(groupSource, ['ldap'])
  if (ldap === undefined) return
  const path: Path = ['authentication', 'issuers', i, 'groupSource']
  checkServers(ldap, [...path, 'ldap'], add)
  if (valueAt(groupSource, ['userClaim']) !== undefined) return
  const fix = 'name a claim that identifies the user in the directory, and that users cannot choose'
  add([...path, 'userClaim'], 'is required for ldap', fix)
}
