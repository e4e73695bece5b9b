/** Certificates that Gatehouse issues: the CA, what issues, and what accepts them. */
import { createIssuedSignIn, type SourcePrefixes } from '../authentication/issued/issued.ts'
import { createPeriodicCheck } from '../authentication/periodic-check.ts'
import { createAuthorityCheck } from '../issuance/authority-check.ts'
import { loadIssuingAuthority, type IssuingAuthority } from '../issuance/authority.ts'
import { createCertificateIssuer } from '../issuance/certificate-issuer.ts'
import { createCommandSigner } from '../issuance/command-signer.ts'
import { signWithFile } from '../issuance/signer.ts'
import { createTokenBuckets } from '../limits/token-bucket.ts'
import { throttledLog } from '../log-throttle.ts'
import { retryAfter, StatusError } from '../status.ts'
import {
  createDirectorySignIn,
  LDAP_METHOD,
  LDAP_SOURCE,
  type DirectorySignInOptions,
} from '../issuance/directory-sign-in.ts'
import { checkDirectory } from '../ldap/directory-check.ts'
import { createDirectory } from '../ldap/directory.ts'
import { loadDirectorySecrets } from '../ldap/load-secrets.ts'
import type { DirectorySecrets } from '../ldap/options.ts'
import type { UserInfo } from '../authentication/authenticator.ts'
import { quote } from '../authentication/quote.ts'
import { collectProblems } from '../config/collect-problems.ts'
import { valueAt, type Path } from '../config/path.ts'
import { addressKey } from '../limits/address-key.ts'
import { reportIssuingCA } from './certificate-report.ts'
import type { AuthenticationOptions, SignInKind } from './sign-in-kind.ts'

const MAX_TRACKED_USERS = 20_000

/** What is read from files. */
export interface IssuedCertificatesParts {
  readonly authority: IssuingAuthority
  /** In the order of the configuration. */
  readonly directories: readonly DirectorySecrets[]
}

export const issuedCertificates: SignInKind<IssuedCertificatesParts> = {
  part({ fileAt, raw }) {
    const path: Path = ['authentication', 'issuedCertificates']
    const caFile = fileAt([...path, 'caFile'])
    const privateKeyFile = fileAt([...path, 'privateKeyFile'])
    if (caFile === undefined) return undefined
    const listed = valueAt(raw, [...path, 'directories'])
    const directories = Array.from(Array.isArray(listed) ? listed : [], (_, i) => ({
      caFile: fileAt([...path, 'directories', i, 'caFile']) ?? '',
      bindPasswordFile: fileAt([...path, 'directories', i, 'bindPasswordFile']) ?? '',
    })).filter((files) => files.caFile !== '' && files.bindPasswordFile !== '')
    return {
      what: 'issued certificates',
      files: () => [
        caFile,
        ...(privateKeyFile === undefined ? [] : [privateKeyFile]),
        ...directories.flatMap((files) => Object.values(files)),
      ],
      load() {
        const collected = collectProblems()
        const authority = collected.of(() => loadIssuingAuthority({ caFile, privateKeyFile }))
        const secrets = directories.map((files) => collected.of(() => loadDirectorySecrets(files)))
        return {
          authority: collected.value(authority),
          directories: secrets.map((each) => collected.value(each)),
        }
      },
      report: ({ authority }, now) =>
        reportIssuingCA(
          {
            caFile,
            secretFiles: [
              ...(privateKeyFile === undefined ? [] : [privateKeyFile]),
              ...directories.map(({ bindPasswordFile }) => bindPasswordFile),
            ],
          },
          authority.bundle,
          now,
        ),
    }
  },
  create({ issuedCertificates: options }, effects) {
    if (options === undefined) throw new Error('issuedCertificates is not configured')
    const { log, reviewClient, trustIssued, trustGeneration, chainOf } = effects
    const throttled = throttledLog(log)
    const onFailure = (problem: string): void =>
      throttled.error({ problem }, 'a certificate could not be signed')
    let current: IssuingAuthority | undefined
    const authority = (): IssuingAuthority => {
      if (current === undefined) throw new Error('the issuing CA has not been loaded')
      return current
    }
    let secrets: readonly DirectorySecrets[] = []
    const sources = new Map(
      options.directories.map(({ name, usernamePrefix, groupPrefix }): [string, SourcePrefixes] => [
        LDAP_SOURCE + name,
        { username: usernamePrefix, groups: groupPrefix },
      ]),
    )
    const prefixesOf = (source: string): SourcePrefixes | undefined =>
      sources.get(source) ??
      (options.issuers.includes(source) ? effects.issuerPrefixes(source) : undefined)
    const isSource = (source: string): boolean => prefixesOf(source) !== undefined
    const check = createAuthorityCheck(
      { tolerateUnchecked: options.tolerateUncheckedCA },
      {
        reviewClient,
        authorities: () => authority().authorities,
        others: () => [
          { what: 'authentication.x509', bundle: effects.clientCA() },
          { what: 'the CA of the API server in upstream', bundle: reviewClient.authorities() },
        ],
        onUnreadable: (status) =>
          throttled.warn(
            { status },
            'cannot check whether the API server trusts the issuing CA for clients: allow Gatehouse to read the ConfigMap kube-system/extension-apiserver-authentication',
          ),
        onChange(problem) {
          if (problem === undefined) log.info('certificates are issued again')
          else log.error({ problem }, 'no certificate is issued')
        },
        now: () => performance.now(),
      },
    )
    const health = options.directories.map((directory, i) => ({
      name: directory.name,
      check: createPeriodicCheck({
        probe: () => checkDirectory(directory, secretsAt(secrets, i)),
        onChange(problem) {
          const { name } = directory
          if (problem === undefined) log.info({ directory: name }, 'the directory works again')
          else log.warn({ directory: name, problem }, 'the directory does not work')
        },
      }),
    }))
    const signIn = createIssuedSignIn({
      generation: trustGeneration,
      chainOf,
      prefixesOf,
      readiness: () => [
        {
          name: 'issuing-ca',
          problem: check.problem(),
          wasTried: check.wasTried,
          way: 'issued certificates',
        },
        ...health.map(({ name, check: { problem, wasTried } }) => ({
          name: `directory ${name}`,
          ...{ problem, wasTried },
          // Certificates that it has vouched for are accepted without it.
          way: undefined,
        })),
      ],
      reserves: (user) => reservedByDirectory(user, options.directories),
      close() {
        for (const each of health) each.check.close()
      },
    })
    const { maxLifetime, maxSignInAge, signCommand, perUser } = options
    const users = createTokenBuckets(perUser, MAX_TRACKED_USERS)
    const directories = options.directories.map((directory, i) => {
      const signInAt = createDirectorySignIn(directory, {
        directory: createDirectory(directory, () => secretsAt(secrets, i)),
        guard: (user) => effects.guardUser(user, signIn),
        addressKey,
        onUnavailable: (problem) =>
          throttled.warn({ directory: directory.name, problem }, 'a directory cannot be reached'),
        onUnusable: (problem) =>
          throttled.warn(
            { directory: directory.name, problem },
            'a user of a directory has the right password, but cannot sign in',
          ),
        onLimit: () => effects.onLimited('passwords'),
        onResult: (result) => effects.metrics.authentications.inc({ method: LDAP_METHOD, result }),
        now: () => Date.now(),
      })
      return [directory.name, signInAt] as const
    })
    effects.publishCertificates({
      directories: new Map(directories),
      issuer: createCertificateIssuer(
        { maxLifetime, maxSignInAge },
        {
          authority,
          sign:
            signCommand === undefined
              ? signWithFile
              : createCommandSigner(signCommand, { onFailure }),
          isSource,
          admit(username) {
            const { allowed, waitMs } = users.take(username, performance.now())
            if (allowed) return
            effects.onLimited('certificates')
            throw tooMany(Math.ceil(waitMs / 1_000))
          },
          checkAuthority: () => check.require(),
          now: () => Date.now(),
        },
      ),
    })
    return {
      signIn,
      update(next) {
        const { bundle } = next.authority
        current = next.authority
        secrets = next.directories
        trustIssued(bundle)
        signIn.update(bundle)
        check.again()
        for (const each of health) each.check.again()
      },
    }
  },
}

function secretsAt(secrets: readonly DirectorySecrets[], i: number): DirectorySecrets {
  const found = secrets[i]
  if (found === undefined) throw new Error('the files of the directory have not been loaded')
  return found
}

/** The prefixes of the names that the directories give to users and groups. */
export function directoryPrefixes(
  options: AuthenticationOptions['issuedCertificates'],
): Readonly<Record<'username' | 'groups', readonly string[]>> {
  const directories = options?.directories ?? []
  return {
    username: directories.map(({ usernamePrefix }) => usernamePrefix),
    groups: directories.map(({ groupPrefix }) => groupPrefix),
  }
}

/** Names with the prefix of a directory are of its users alone. */
function reservedByDirectory(
  { username, groups }: UserInfo,
  directories: readonly Pick<DirectorySignInOptions, 'name' | 'usernamePrefix' | 'groupPrefix'>[],
): string | undefined {
  for (const { name, usernamePrefix, groupPrefix } of directories) {
    const taken = [
      ...(username.startsWith(usernamePrefix) ? [username] : []),
      ...groups.filter((group) => group.startsWith(groupPrefix)),
    ]
    if (taken[0] === undefined) continue
    return `${quote(taken[0])} begins with the prefix of the directory ${quote(name)}, so only its users may have it`
  }
  return undefined
}

function tooMany(seconds: number): StatusError {
  return new StatusError(
    'TooManyRequests',
    'too many certificates were issued to you: use the one that you have, or try again later',
    retryAfter(seconds),
  )
}
