/** An item of `authentication.issuers` of gatehouse.yaml. */
import { z } from 'zod'

import { duration } from '../duration.ts'
import { choice, flag, groupPattern, inputFile } from '../fields.ts'
import { egressProxy } from './egress-proxy.ts'
import { groupSource } from './group-source.ts'

export const ISSUERS = { reload: 'authentication configuration' }

export const issuerOptions = z.strictObject({
  url: z
    .string()
    .min(1, 'is empty')
    .describe('issuer that the options are for; must be the url of an issuer in configFile'),
  missingGroups: choice(
    'what happens to a token without the claim that `claimMappings.groups` names. unknown: the user ' +
      'is accepted with no groups, every deny rule for groups applies, and no allow rule for groups ' +
      'does. refuse: the token is refused (401)',
    ['unknown', 'refuse'],
  ).default('unknown'),
  sharesNames: flag(
    'whether users of this issuer may have the names and groups of client certificates, and of other ' +
      'issuers with `sharesNames: true`. Whoever controls one of them can then act as a user of the ' +
      'others. By default, prefixes that overlap are refused',
  ).default(false),
  allowedGroups: z
    .array(groupPattern)
    .min(1, 'is empty')
    .optional()
    .meta({
      description:
        'groups of this issuer that are asserted to the API server, with the prefix of the issuer. A `*` ' +
        'at the end stands for the rest of a name. Allow rules do not count the other groups, and deny ' +
        'rules do. If unset, every group is asserted; must be a list of groups',
      examples: [['oidc:platform', 'oidc:team-*']],
    }),
  groupSource: groupSource.optional(),
  backchannelLogout: flag(
    'whether the issuer can end sign-ins at the Kubernetes API by logout tokens (OpenID Connect ' +
      'Back-Channel Logout), which it sends to `/gatehouse/backchannel-logout`. Its tokens must say when ' +
      'they were issued (iat)',
  ).default(false),
  jwksFile: inputFile(
    "the issuer's public keys, a JSON Web Key Set (RFC 7517), for an issuer that cannot be reached. " +
      'Nothing is fetched then, and its keys change only with the file',
    ISSUERS,
  ).optional(),
  certificateAuthorityFile: inputFile(
    'CA certificates that verify the server of the issuer, a PEM bundle, in place of ' +
      '`certificateAuthority` in configFile',
    ISSUERS,
  ).optional(),
  proxy: egressProxy('the issuer', ISSUERS).optional(),
  cachedKeyLifetime: duration(
    'how long keys that were fetched stay in use while the issuer cannot be reached. Then its tokens ' +
      'are refused, since a key may have been withdrawn. At least 1m',
    '1m',
  ).default(24 * 3_600_000),
})
