/** Checks gatehouse.yaml against the issuers of `authentication.configFile`. */
import type { AuthenticationConfiguration } from '../authentication/oidc/authentication-config.ts'
import { secretFiles } from '../authentication/oidc/issuer-access.ts'
import { findDropped } from '../authorization/rules/findings/subjects.ts'
import type { Source } from '../config/document.ts'
import { readableByOthers } from '../config/file-access.ts'
import type { Path } from '../config/path.ts'
import { fileProblem, type ConfigProblem } from '../config/problem.ts'
import type { Configuration } from '../config/schema.ts'
import { commandLineAudiences } from '../sign-in/discovery-document.ts'
import { groupNamesOf } from './subject-names.ts'

/** Entries of `authentication.issuers` that do nothing. */
export function findUnusedOptions(
  options: Configuration['authentication']['issuers'],
  { issuers }: AuthenticationConfiguration,
  source: Source,
): ConfigProblem[] {
  return options.flatMap(({ url, missingGroups, allowedGroups, groupSource }, i) => {
    const at = (...field: Path): Path => ['authentication', 'issuers', i, ...field]
    const issuer = issuers.find((one) => one.url === url)
    if (issuer === undefined) {
      const message = `${JSON.stringify(url)} is not an issuer in authentication.configFile`
      return [source.problem(at('url'), message, 'write the exact url of the issuer, or remove it')]
    }
    const { groups } = issuer.claimMappings
    if (groups !== undefined) {
      return findUnmatched(allowedGroups ?? [], groups.prefix).map(([j, message, fix]) =>
        source.problem(at('allowedGroups', j), message, fix),
      )
    }
    const unused = [
      ...(missingGroups === 'refuse' ? ['missingGroups'] : []),
      ...(allowedGroups === undefined ? [] : ['allowedGroups']),
      ...(groupSource === undefined ? [] : ['groupSource']),
    ]
    const message = 'has no effect: claimMappings.groups of the issuer is not set'
    const fix = 'set claimMappings.groups, or remove it'
    return unused.map((field) => source.problem(at(field), message, fix))
  })
}

/** Patterns that no group of the issuer matches: their position, a message and a fix. */
function findUnmatched(
  patterns: readonly string[],
  prefix: string,
): (readonly [number, string, string])[] {
  return patterns.flatMap((pattern, j) => {
    const begin = pattern.replace(/\*$/, '')
    const mayMatch = begin.startsWith(prefix) || (begin !== pattern && prefix.startsWith(begin))
    if (mayMatch) return []
    const message = `matches no group: those of this issuer begin with ${JSON.stringify(prefix)}`
    return [[j, message, `write ${JSON.stringify(prefix + pattern)}`] as const]
  })
}

type SignInOptions = Pick<Configuration['signIn'], 'methods' | 'pages'>

/** Entries of `signIn.methods` by which nobody could sign in. */
export function findUnusedMethods(
  { methods, pages }: SignInOptions,
  { issuers }: AuthenticationConfiguration,
  source: Source,
): ConfigProblem[] {
  return methods.flatMap(({ issuer: url, clientID }, i) => {
    const at = (field: string): Path => ['signIn', 'methods', i, field]
    const issuer = issuers.find((one) => one.url === url)
    if (issuer === undefined) {
      const message = `${JSON.stringify(url)} is not an issuer in authentication.configFile`
      return [source.problem(at('issuer'), message, 'write the exact url of the issuer')]
    }
    const audiences = commandLineAudiences(issuer, pages)
    if (clientID === undefined && audiences.length === 1) return []
    if (clientID !== undefined && audiences.includes(clientID)) return []
    const message =
      clientID === undefined
        ? 'is required: the issuer has several audiences'
        : `${JSON.stringify(clientID)} is not one of the audiences of the issuer`
    const fix = `write one of: ${audiences.join(', ')}`
    return [source.problem(at('clientID'), message, fix)]
  })
}

/** Entries of `authentication.issuedCertificates.issuers` at which nobody could sign in. */
export function findUnknownIssuers(
  issued: Configuration['authentication']['issuedCertificates'],
  { issuers }: AuthenticationConfiguration,
  source: Source,
): ConfigProblem[] {
  const urls = issued?.issuers ?? []
  return urls.flatMap((url, i) => {
    if (issuers.some((one) => one.url === url)) return []
    const path: Path = ['authentication', 'issuedCertificates', 'issuers', i]
    const message = `${JSON.stringify(url)} is not an issuer in authentication.configFile`
    return [source.problem(path, message, 'write the exact url of the issuer, or remove it')]
  })
}

/** Issuers of transmitters whose users nobody knows. */
export function findUnknownEventIssuers(
  { transmitters }: Configuration['authentication']['securityEvents'],
  { issuers }: AuthenticationConfiguration,
  source: Source,
): ConfigProblem[] {
  return transmitters.flatMap((transmitter, i) =>
    transmitter.issuers.flatMap((url, j) => {
      if (issuers.some((one) => one.url === url)) return []
      const path = ['authentication', 'securityEvents', 'transmitters', i, 'issuers', j]
      const message = `${JSON.stringify(url)} is not an issuer in authentication.configFile`
      return [source.problem(path, message, 'write the exact url of the issuer, or remove it')]
    }),
  )
}

/** Issuers for which no method can be derived, so that `gatehouse login` does not offer them. */
export function findUnpublished(
  { methods, pages }: SignInOptions,
  { issuers }: AuthenticationConfiguration,
  source: Source,
): ConfigProblem[] {
  if (methods.length > 0) return []
  return issuers.flatMap((issuer) => {
    const { url } = issuer
    if (commandLineAudiences(issuer, pages).length === 1) return []
    const message = `gatehouse login does not offer ${url}: it has several audiences`
    return [source.problem(['signIn'], message, 'list it in signIn.methods with its clientID')]
  })
}

/** Groups of administrators that `allowedGroups` leaves out: nobody can set a lock by them. */
export function warnOfAdministrators(
  { authentication, locks }: Configuration,
  { issuers }: AuthenticationConfiguration,
  source: Source,
): ConfigProblem[] {
  const names = groupNamesOf(authentication, issuers)
  return locks.administrators.groups.flatMap((group, i) => {
    const found = findDropped(group, names)
    if (found === undefined) return []
    const path: Path = ['locks', 'administrators', 'groups', i]
    return [source.problem(path, found.message, found.fix)]
  })
}

/** Unusable keys that one warning names. */
const MAX_NAMED_KEYS = 10

/** Keys of `jwksFile` that are not used, and secrets that others can read. */
export function warnOfAccess(
  options: Configuration['authentication']['issuers'],
  { issuers }: AuthenticationConfiguration,
): ConfigProblem[] {
  return options.flatMap((own) => {
    const { url, jwksFile } = own
    const skipped = issuers.find((one) => one.url === url)?.access?.keys?.skipped ?? []
    const named = skipped.slice(0, MAX_NAMED_KEYS).map(({ kid, reason }) => {
      return `${kid === undefined ? 'a key without kid' : JSON.stringify(kid)}: ${reason}`
    })
    const message = `${skipped.length} of its keys cannot be used: ${named.join('; ')}`
    const fix = 'remove them, or ask the administrator of the issuer for others'
    return [
      ...(jwksFile === undefined || named.length === 0
        ? []
        : [fileProblem(jwksFile, message, fix)]),
      ...secretFiles(own).flatMap((file) => {
        const fault = readableByOthers(file)
        return fault === undefined ? [] : [fileProblem(file, ...fault)]
      }),
    ]
  })
}

/** Pages by which nobody could sign in. */
export function findUnusablePages(
  pages: Configuration['signIn']['pages'],
  { issuers }: AuthenticationConfiguration,
  source: Source,
): ConfigProblem[] {
  if (pages === undefined) return []
  const at = (field: string): Path => ['signIn', 'pages', field]
  const issuer = issuers.find(({ url }) => url === pages.issuer)
  if (issuer === undefined) {
    const message = `${JSON.stringify(pages.issuer)} is not an issuer in authentication.configFile`
    return [source.problem(at('issuer'), message, 'write the exact url of the issuer')]
  }
  if (issuer.audiences.includes(pages.clientID)) return []
  const message = `${JSON.stringify(pages.clientID)} is not one of the audiences of the issuer`
  const fix = 'add it to audiences, with audienceMatchPolicy: MatchAny'
  return [source.problem(at('clientID'), message, fix)]
}
