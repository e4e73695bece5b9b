/**
 * The files directly under src/ and the readers of configuration, which every folder may import.
 */
export const openToAll: readonly string[] = [
  'status',
  'log',
  'log-throttle',
  'lossy-output',
  'output',
  'masked-text',
  'one-line',
  'metrics',
  'tally',
  'lru',
  'patterns',
  'swap-list',
  'pem',
  'undici',
  'https-request',
  'verified-tls',
  'config',
]

/**
 * Folders that import nothing of the others, not even what is open to all: the client runs on older
 * versions of Node, and loads nothing that it does not need.
 */
export const selfContained: readonly string[] = ['client']

/**
 * Which folder of src/ may import which others, so that data flows one way. A folder may always
 * import its own files and those that are open to all. `test/layout.test.ts` checks that every
 * folder is listed.
 */
export const mayImport: Readonly<Record<string, readonly string[]>> = {
  cluster: [],
  request: [],
  http: [],
  config: [],
  cel: [],
  groups: ['ldap'],
  state: [],
  authentication: ['http', 'request', 'cluster', 'cel', 'groups'],
  authorization: ['request', 'authentication', 'cluster'],
  locks: ['http', 'authentication', 'state'],
  revocations: ['authentication', 'state'],
  'security-events': ['authentication', 'revocations', 'locks', 'groups'],
  limits: ['request', 'authentication', 'cluster', 'state'],
  impersonation: ['http', 'request', 'authentication', 'authorization', 'cluster'],
  listener: ['http', 'limits', 'authentication'],
  ldap: [],
  issuance: ['http', 'authentication', 'cluster', 'ldap'],
  audit: ['http', 'request', 'authentication', 'authorization', 'cluster'],
  upstream: ['http', 'request', 'authentication', 'authorization', 'cluster'],
  pipeline: [
    ...['http', 'request', 'authentication', 'authorization'],
    ...['limits', 'locks', 'audit', 'impersonation', 'upstream', 'cluster'],
  ],
  'sign-in': [
    ...['http', 'authentication', 'limits', 'locks', 'audit', 'pipeline', 'issuance'],
    ...['revocations', 'security-events'],
  ],
  probes: ['audit', 'upstream', 'authentication'],
  gatehouse: [
    ...['http', 'request', 'authentication', 'authorization', 'limits', 'locks', 'audit'],
    ...['upstream', 'cluster', 'listener', 'impersonation', 'pipeline', 'probes', 'sign-in'],
    ...['state', 'issuance', 'ldap', 'revocations', 'security-events'],
  ],
  cli: ['gatehouse', 'listener'],
  client: [],
}
