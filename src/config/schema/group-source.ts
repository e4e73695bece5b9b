/** `groupSource` of an issuer: groups that are not in its tokens. */
import { z } from 'zod'

import { duration } from '../duration.ts'
import { choice, httpsOrigin, inputFile } from '../fields.ts'
import { directoryOfGroups } from './directory.ts'

const ISSUERS = { reload: 'authentication configuration' }

const text = (meaning: string) => z.string().min(1, 'is empty').describe(meaning)

/** Each field is a kind of source (authentication/oidc/issuer-groups.ts). */
const sources = {
  file: inputFile('groups and their members: kind GroupMemberships', ISSUERS).optional(),
  microsoftGraph: z
    .strictObject({
      tenantID: text('ID of the tenant; must be a UUID or a domain'),
      clientID: text('ID of the application that may read groups; must be a UUID'),
      clientSecretFile: inputFile('the secret of the application', ISSUERS),
      groupName: choice(
        'which property names a group. id: the object ID, as in tokens. displayName: chosen by anyone ' +
          'who may create or rename a group',
        ['id', 'displayName'],
      ).default('id'),
      endpoint: httpsOrigin('Microsoft Graph').default('https://graph.microsoft.com'),
      authority: httpsOrigin('the token endpoint').default('https://login.microsoftonline.com'),
    })
    .describe(
      'Microsoft Entra ID, through Microsoft Graph, nested groups included. The application needs the ' +
        'permission GroupMember.Read.All.',
    )
    .optional(),
  googleWorkspace: z
    .strictObject({
      serviceAccountKeyFile: inputFile('the JSON key of a service account', ISSUERS),
      adminUser: text(
        'the administrator as whom the service account reads groups; must be an email address',
      ),
      endpoint: httpsOrigin('the Directory API').default('https://admin.googleapis.com'),
    })
    .describe(
      'Google Workspace, through the Directory API. Groups are named by their email addresses; a group ' +
        'within a group does not count. The service account needs domain-wide delegation for ' +
        'admin.directory.group.readonly.',
    )
    .optional(),
  ldap: directoryOfGroups(ISSUERS).optional(),
}

export type GroupSourceField = keyof typeof sources
export const GROUP_SOURCE_FIELDS = Object.keys(sources) as readonly GroupSourceField[]

export const groupSource = z
  .strictObject({
    ...sources,
    userClaim: text(
      'claim by which the source knows the user. Default: oid for microsoftGraph, email for ' +
        'googleWorkspace, sub for file, none for ldap; must be the name of a claim',
    ).optional(),
    when: choice(
      'missing: the source is asked if a token does not state its groups, such as one of Entra ID with ' +
        'more than 200 groups. always: its groups are added to those of the token',
      ['missing', 'always'],
    ).default('missing'),
    onFailure: choice(
      'what happens to a user while the source cannot be asked. refuse: the request is refused (503). ' +
        'unknown: the user is accepted with the groups in the token, and every deny rule for groups applies',
      ['refuse', 'unknown'],
    ).default('refuse'),
    cacheLifetime: duration(
      'how long groups are used before they are looked up again',
      '1s',
    ).default(300_000),
    timeout: duration('limit for one lookup, all pages included', '100ms').default(5_000),
    certificateAuthorityFile: inputFile(
      'CA certificates that verify the servers of the source, a PEM bundle. If unset, the CAs that Node ' +
        'trusts',
      ISSUERS,
    ).optional(),
  })
  .describe(
    'Where to look up groups that are not in the token. They get the prefix of claimMappings.groups. ' +
      'Gatehouse never fetches from an address that a token names.',
  )
