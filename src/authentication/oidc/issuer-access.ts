/** How the keys of an issuer are had: the options of gatehouse.yaml, with the content of their files. */
import type { DocumentReading } from '../../config/document.ts'
import { filesNamedIn } from '../../config/files.ts'
import { valueAt, type Path } from '../../config/path.ts'
import { ConfigError, fileProblem, type ConfigProblem } from '../../config/problem.ts'
import { readText } from '../../config/read-text.ts'
import type { Configuration } from '../../config/schema.ts'
import { GROUP_SOURCE_FIELDS, type GroupSourceField } from '../../config/schema/group-source.ts'
import { issuerOptions } from '../../config/schema/issuer-options.ts'
import { readDirectoryPassword } from '../../groups/directory-groups.ts'
import { readServiceAccountKey, type ServiceAccountKey } from '../../groups/google-workspace.ts'
import { loadMembershipFile, type MembershipFile } from '../../groups/membership-file.ts'
import { isCertificateBundle } from './authentication-schema.ts'
import { parseKeySet, type KeySet, type SkippedKey } from './key-set.ts'
import { isJsonObject } from './strict-json.ts'

export interface IssuerAccess {
  /** The issuer's keys, if they are read from a file; otherwise they are fetched. */
  readonly keys: FileKeys | undefined
  /** PEM, in place of the one in the AuthenticationConfiguration. */
  readonly certificateAuthority: string | undefined
  /** In place of the one in the environment. */
  readonly proxy: IssuerProxy | undefined
  readonly groupSource: GroupSourceAccess | undefined
  /** How long keys stay in use after the last fetch, in milliseconds. */
  readonly keyLifetime: number
}

/** A source of groups with what its files hold. */
export interface GroupSourceAccess {
  readonly options: NonNullable<IssuerOptions['groupSource']>
  /** PEM. */
  readonly certificateAuthority: string | undefined
  readonly memberships: MembershipFile | undefined
  readonly clientSecret: string | undefined
  readonly serviceAccountKey: ServiceAccountKey | undefined
  /** The password of the directory's service account. */
  readonly bindPassword: string | undefined
}

/** By which claim each kind of source knows the user, unless `userClaim` names another one. */
const USER_CLAIMS: Readonly<Record<GroupSourceField, string | undefined>> = {
  file: 'sub',
  microsoftGraph: 'oid',
  googleWorkspace: 'email',
  // `userClaim` is required (config/choices/authentication.ts): no claim is right for most directories.
  ldap: undefined,
}

/** The claim by which the source knows the user. */
export function userClaimOf({ options }: Pick<GroupSourceAccess, 'options'>): string {
  const kind = GROUP_SOURCE_FIELDS.find((field) => options[field] !== undefined) ?? 'file'
  const claim = options.userClaim ?? USER_CLAIMS[kind]
  if (claim === undefined) throw new TypeError('userClaim of a source of groups is not set')
  return claim
}

export interface FileKeys {
  readonly usable: KeySet
  /** Keys of the file that cannot be used. */
  readonly skipped: readonly SkippedKey[]
}

export interface IssuerProxy {
  /** `http:` or `https:`, without credentials. */
  readonly url: string
  /** PEM; undefined: the certificate authorities that Node trusts. */
  readonly certificateAuthority: string | undefined
  /** `USER:PASSWORD`. */
  readonly credentials: string | undefined
}

/** What is needed of the options of an issuer, or of another server whose keys are had in the same way. */
type IssuerOptions = Pick<
  Configuration['authentication']['issuers'][number],
  'url' | 'jwksFile' | 'certificateAuthorityFile' | 'proxy' | 'groupSource' | 'cachedKeyLifetime'
>

/** The files of one issuer's options. */
export function accessFiles(options: IssuerOptions): readonly string[] {
  return filesNamedIn(issuerOptions, options)
}

/** Those of these files that hold secrets. */
export function secretFiles({ proxy, groupSource }: IssuerOptions): readonly string[] {
  return [
    proxy?.credentialsFile,
    groupSource?.microsoftGraph?.clientSecretFile,
    groupSource?.googleWorkspace?.serviceAccountKeyFile,
    groupSource?.ldap?.bindPasswordFile,
  ].filter((one) => one !== undefined)
}

/** Reads the files of all options; returns what they hold by the URL of the issuer, and adds problems. */
export function loadAccess(
  issuers: readonly IssuerOptions[],
  problems: ConfigProblem[],
): ReadonlyMap<string, IssuerAccess> {
  const loaded = new Map<string, IssuerAccess>()
  for (const options of issuers) {
    try {
      loaded.set(options.url, loadIssuerAccess(options))
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.push(...error.problems)
    }
  }
  return loaded
}

/**
 * Reads the files of one issuer's options.
 *
 * @throws ConfigError with every problem found
 */
function loadIssuerAccess(options: IssuerOptions): IssuerAccess {
  const problems: ConfigProblem[] = []
  const read = <T>(file: string | undefined, parse: (text: string) => T): T | undefined => {
    if (file === undefined) return undefined
    const text = readText(file, (...fault) => problems.push(fileProblem(file, ...fault)))
    if (text === undefined) return undefined
    try {
      return parse(text)
    } catch (error) {
      if (!(error instanceof FileFaultError)) throw error
      problems.push(fileProblem(file, error.message, error.fix))
      return undefined
    }
  }
  const { proxy, groupSource } = options
  const access = {
    keys: read(options.jwksFile, parseKeys),
    certificateAuthority: read(options.certificateAuthorityFile, parseAuthority),
    proxy: proxy && {
      url: proxy.url,
      certificateAuthority: read(proxy.certificateAuthorityFile, parseAuthority),
      credentials: read(proxy.credentialsFile, parseCredentials),
    },
    groupSource: groupSource && {
      options: groupSource,
      certificateAuthority: read(groupSource.certificateAuthorityFile, parseAuthority),
      memberships: loadMemberships(groupSource.file, problems),
      clientSecret: read(groupSource.microsoftGraph?.clientSecretFile, parseSecret),
      serviceAccountKey: read(
        groupSource.googleWorkspace?.serviceAccountKeyFile,
        parseServiceAccountKey,
      ),
      bindPassword: read(groupSource.ldap?.bindPasswordFile, parsePassword),
    },
    keyLifetime: options.cachedKeyLifetime,
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return access
}

/** Checks that the CA of each issuer is set in one place. */
export function checkAuthorities(
  reading: DocumentReading<unknown>,
  issuers: readonly IssuerOptions[],
): ConfigProblem[] {
  const jwt = valueAt(reading.raw, ['jwt'])
  if (!Array.isArray(jwt)) return []
  return jwt.flatMap((_, i) => {
    const path: Path = ['jwt', i, 'issuer', 'certificateAuthority']
    const url = valueAt(reading.raw, ['jwt', i, 'issuer', 'url'])
    const own = issuers.find((one) => one.url === url)
    if (own?.certificateAuthorityFile === undefined) return []
    if (valueAt(reading.raw, path) === undefined) return []
    const message =
      'is also set by certificateAuthorityFile in authentication.issuers of gatehouse.yaml'
    return [reading.problem(path, message, 'remove it here or there')]
  })
}

class FileFaultError extends Error {
  readonly fix: string

  constructor(message: string, fix: string) {
    super(message)
    this.fix = fix
  }
}

const KEY_SET_FIX = "provide the document at the issuer's jwks_uri"

function parseKeys(text: string): FileKeys {
  const document = parseJson(text)
  // RFC 7518 section 6: the private members of RSA and EC keys, and the value of a symmetric one.
  const keys = isJsonObject(document) && Array.isArray(document['keys']) ? document['keys'] : []
  if (keys.some((key) => isJsonObject(key) && ('d' in key || 'k' in key))) {
    throw new FileFaultError(
      'contains a private or symmetric key, with which whoever reads the file can sign tokens',
      'provide only public keys, and replace that key at the issuer',
    )
  }
  const skipped: SkippedKey[] = []
  const usable = parse(document, skipped)
  if (usable.length === 0) throw new FileFaultError('contains no usable key', KEY_SET_FIX)
  return { usable, skipped }
}

function parse(document: unknown, skipped: SkippedKey[]): KeySet {
  try {
    return parseKeySet(document, (key) => skipped.push(key))
  } catch (error) {
    throw new FileFaultError((error as Error).message, KEY_SET_FIX)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new FileFaultError('is not JSON', KEY_SET_FIX)
  }
}

function parseAuthority(text: string): string {
  if (isCertificateBundle(text)) return text
  throw new FileFaultError(
    'is not a bundle of PEM certificates',
    'provide CA certificates, each complete, and nothing else',
  )
}

/** RFC 7617 section 2: a colon ends the user name, and neither part has control characters. */
function parseCredentials(text: string): string {
  const line = text.replace(/\r?\n$/, '')
  // eslint-disable-next-line no-control-regex -- the expression excludes them
  if (/^[^:\u0000-\u001f\u007f]+:[^\u0000-\u001f\u007f]+$/.test(line)) return line
  throw new FileFaultError('is not of the form USER:PASSWORD, on one line', 'write it in this form')
}

function loadMemberships(
  file: string | undefined,
  problems: ConfigProblem[],
): MembershipFile | undefined {
  if (file === undefined) return undefined
  try {
    return loadMembershipFile(file)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    problems.push(...error.problems)
    return undefined
  }
}

function parseSecret(text: string): string {
  const secret = text.replace(/\r?\n$/, '')
  if (/^[\x21-\x7e]+$/.test(secret)) return secret
  throw new FileFaultError('is not a secret on one line', 'provide the secret and nothing else')
}

function parsePassword(text: string): string {
  const password = readDirectoryPassword(text)
  if (password !== undefined) return password
  throw new FileFaultError('is empty', 'write the password of the service account into it')
}

function parseServiceAccountKey(text: string): ServiceAccountKey {
  try {
    return readServiceAccountKey(text)
  } catch (error) {
    throw new FileFaultError(
      (error as Error).message,
      'provide the JSON key as downloaded from Google',
    )
  }
}
