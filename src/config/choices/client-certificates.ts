/** Checks of `authentication.x509` that concern more than one field. */
import { valueAt, type Path } from '../path.ts'
import { has, type AddProblem } from './add-problem.ts'
import { authorityPrefixes, overlapOf, PREFIX_FIELDS } from './overlapping-prefixes.ts'

/** Checks that the CAs of `authentication.x509` fit each other. */
export function checkClientCertificates(raw: object, add: AddProblem): void {
  const field: Path = ['authentication', 'x509']
  const x509 = valueAt(raw, field)
  if (typeof x509 !== 'object' || x509 === null) return
  const authorities = valueAt(x509, ['authorities'])
  const list: readonly unknown[] = Array.isArray(authorities) ? authorities : []
  if (!has(x509, 'clientCAFile') && !has(x509, 'frontProxy') && list.length === 0) {
    add(field, 'names no CA', 'set clientCAFile, authorities or both')
  }
  checkFrontProxy(raw, add)
  list.forEach((authority, i) => {
    const at = (name: string): Path => [...field, 'authorities', i, name]
    const isSpiffe = valueAt(authority, ['usernameFrom']) === 'spiffeID'
    const hasDomain = valueAt(authority, ['trustDomain']) !== undefined
    if (isSpiffe && !hasDomain) {
      add(at('trustDomain'), 'is required with spiffeID', 'write the trust domain of the CA')
    }
    if (!isSpiffe && hasDomain) {
      add(at('trustDomain'), 'has no effect without usernameFrom: spiffeID', 'remove it')
    }
    const mappings = valueAt(authority, ['groupMappings'])
    const items: readonly unknown[] = Array.isArray(mappings) ? mappings : []
    items.forEach((mapping, j) => {
      const names = ['usernames', 'organizations'].flatMap((name) => valueAt(mapping, [name]) ?? [])
      if (names.length > 0) return
      const fix = 'set usernames, organizations or both'
      add([...at('groupMappings'), j], 'matches nobody', fix)
    })
  })
  checkPrefixes(raw, [...field, 'authorities'], add)
}

/** The API server, or something behind it, must not read what names users to Gatehouse. */
function checkFrontProxy(raw: object, add: AddProblem): void {
  const field: Path = ['authentication', 'x509', 'frontProxy']
  const forwarded: Path = ['upstream', 'additionalRequestHeaders']
  const lists = ['usernameHeaders', 'uidHeaders', 'groupHeaders'].flatMap((name) =>
    namesAt(raw, [...field, name]),
  )
  const prefixes = namesAt(raw, [...field, 'extraHeaderPrefixes'])
  if (
    valueAt(raw, field) !== undefined &&
    valueAt(raw, [...field, 'usernameHeaders', 'length']) === 0
  ) {
    add([...field, 'usernameHeaders'], 'is empty, so nobody could be named', 'list a header')
  }
  namesAt(raw, forwarded).forEach((name, i) => {
    if (!lists.includes(name) && !prefixes.some((prefix) => name.startsWith(prefix))) return
    const message = 'names users in authentication.x509.frontProxy'
    add([...forwarded, i], message, 'remove it here or there')
  })
}

function namesAt(raw: object, field: Path): readonly string[] {
  const list = valueAt(raw, field)
  const names: readonly unknown[] = Array.isArray(list) ? list : []
  return names.filter((name) => typeof name === 'string').map((name) => name.toLowerCase())
}

function checkPrefixes(raw: object, authorities: Path, add: AddProblem): void {
  for (const field of PREFIX_FIELDS) {
    authorityPrefixes(raw, field).forEach((own, i, all) => {
      const message = overlapOf(own, all.slice(0, i))
      if (message === undefined) return
      add(
        [...authorities, i, field],
        message,
        'choose another prefix, or put the CAs into one file',
      )
    })
  }
}
