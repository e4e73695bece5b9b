/** The names that users can have, for findings about rules that name nobody. */
import { loadAuthenticationConfiguration } from '../authentication/oidc/authentication-config.ts'
import { certificatePrefixes } from '../authentication/x509/client-ca.ts'
import type { SubjectNames } from '../authorization/rules/findings/subjects.ts'
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
  const { users, groups } = configuration.authentication.systemIdentities
  const file = fileAt(['authentication', 'configFile'])
  try {
    const issuers = file === undefined ? [] : loadAuthenticationConfiguration(file).issuers
    const mappings = issuers.map(({ claimMappings }) => claimMappings)
    const certificates = certificatePrefixes(configuration.authentication.x509)
    const directories = directoryPrefixes(configuration.authentication.issuedCertificates)
    return {
      userPrefixes: [
        ...mappings.map(({ username }) => username.prefix),
        ...certificates.username.filter((prefix) => prefix !== ''),
        ...directories.username,
      ],
      groupPrefixes: [
        ...mappings.flatMap((mapping) => mapping.groups?.prefix ?? []),
        ...certificates.groups.filter((prefix) => prefix !== ''),
        ...directories.groups,
      ],
      hasCertificates: [...certificates.username, ...certificates.groups].includes(''),
      ...withServiceAccounts(configuration, { systemUsers: users, systemGroups: groups }),
    }
  } catch (error) {
    if (error instanceof ConfigError) return undefined
    throw error
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
