/** The names that users can have, for findings about rules that name nobody. */
import {
  loadAuthenticationConfiguration,
  type Issuer,
} from '../authentication/oidc/authentication-config.ts'
import { certificatePrefixes } from '../authentication/x509/client-ca.ts'
import type { GroupNames, SubjectNames } from '../authorization/rules/findings/subjects.ts'
import type { ConfigurationReading } from '../config/load.ts'
import { ConfigError } from '../config/problem.ts'
import type { Configuration } from '../config/schema.ts'
import { directoryPrefixes } from './issued-certificates.ts'

/**
 * Which names users can have, by the files as they are now; undefined while these have problems, which
 * are reported by themselves.
 */
export function readSubjectNames({
  configuration,
  fileAt,
}: ConfigurationReading): SubjectNames | undefined {
  if (configuration === undefined) return undefined
  const { authentication } = configuration
  const { users, groups } = authentication.systemIdentities
  const file = fileAt(['authentication', 'configFile'])
  try {
    const issuers = file === undefined ? [] : loadAuthenticationConfiguration(file).issuers
    const certificates = certificatePrefixes(authentication.x509)
    const directories = directoryPrefixes(authentication.issuedCertificates)
    return {
      userPrefixes: [
        ...issuers.map(({ claimMappings }) => claimMappings.username.prefix),
        ...certificates.username.filter((prefix) => prefix !== ''),
        ...directories.username,
      ],
      ...groupNamesOf(authentication, issuers),
      ...withServiceAccounts(configuration, { systemUsers: users, systemGroups: groups }),
    }
  } catch (error) {
    if (error instanceof ConfigError) return undefined
    throw error
  }
}

/** Which groups users can have, `system:` names aside. */
export function groupNamesOf(
  { x509, issuedCertificates, issuers: options }: Configuration['authentication'],
  issuers: readonly Issuer[],
): Pick<SubjectNames, 'groupSources' | 'hasCertificates'> {
  const certificates = certificatePrefixes(x509)
  const ofIssuers = issuers.flatMap(({ url, claimMappings: { groups } }): GroupNames[] => {
    if (groups === undefined) return []
    const allowed = options.find((one) => one.url === url)?.allowedGroups
    const filter = allowed === undefined ? undefined : { issuer: url, allowed }
    return [{ prefix: groups.prefix, filter }]
  })
  const others = [
    ...certificates.groups.filter((prefix) => prefix !== ''),
    ...directoryPrefixes(issuedCertificates).groups,
  ]
  return {
    groupSources: [...ofIssuers, ...others.map((prefix) => ({ prefix, filter: undefined }))],
    hasCertificates: [...certificates.username, ...certificates.groups].includes(''),
  }
}

type SystemNames = Pick<SubjectNames, 'systemUsers' | 'systemGroups'>

function withServiceAccounts(
  { authentication }: Configuration,
  { systemUsers, systemGroups }: SystemNames,
): SystemNames {
  if (authentication.serviceAccounts === undefined) return { systemUsers, systemGroups }
  return {
    systemUsers: [...systemUsers, 'system:serviceaccount:*'],
    systemGroups: [...systemGroups, 'system:serviceaccounts', 'system:serviceaccounts:*'],
  }
}
