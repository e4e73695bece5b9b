/**
 * GatehouseConfiguration: the one source of the checks at load, of the defaults, of the JSON Schema
 * for editors and of docs/configuration.md. The annotated example is config/gatehouse.yaml.
 */
import { z } from 'zod'

import { LOG_LEVELS } from '../log.ts'
import { duration } from './duration.ts'
import { address, choice, flag, inputFile, port } from './fields.ts'
import { audit } from './schema/audit.ts'
import { authentication } from './schema/authentication.ts'
import { DEFAULTS } from './schema/defaults.ts'
import { locks } from './schema/locks.ts'
import { limits } from './schema/limits.ts'
import { listener } from './schema/listener.ts'
import { signIn } from './schema/sign-in.ts'
import { state } from './schema/state.ts'
import { upstream } from './schema/upstream.ts'

const probes = z
  .strictObject({
    address: address('address that the probes bind').default('127.0.0.1'),
    port: port('port that the probes bind').default(DEFAULTS.probesPort),
  })
  .describe(
    '`/livez`, `/readyz?verbose` and `/metrics`, in plain HTTP. They are never served on the ' +
      "users' listener.",
  )

const authorization = z
  .strictObject({ rulesFile: inputFile('access rules, an AccessRules file', { reload: 'rules' }) })
  .describe(
    "Which requests pass. Kubernetes' RBAC still decides behind Gatehouse: rules can only take away.",
  )

const impersonation = z
  .strictObject({
    enabled: flag(
      'whether users may act as others (kubectl --as). Gatehouse asks the API server by ' +
        'SubjectAccessReview whether the caller may, and needs the permission to create them. If it ' +
        'is false, requests that impersonate are refused',
    ).default(false),
  })
  .describe('Requests that one user makes as another one.')

const shutdown = z
  .strictObject({
    delay: duration('how long Gatehouse accepts connections after it has become unready').default(
      0,
    ),
    gracePeriod: duration(
      'how long requests and streams may continue after the delay. Remaining streams are then ended',
    ).default(30_000),
  })
  .describe('What happens on SIGTERM and SIGINT. Gatehouse becomes unready at once.')

const log = z
  .strictObject({ level: choice('least severe level that is logged', LOG_LEVELS).default('info') })
  .describe('The operational log: JSON lines on standard error.')

export const configurationSchema = z.strictObject({
  apiVersion: z.literal('gatehouse/v1').describe('version of the format; must be gatehouse/v1'),
  kind: z
    .literal('GatehouseConfiguration')
    .describe('kind of the document; must be GatehouseConfiguration'),
  listener,
  probes: probes.prefault({}),
  authentication,
  signIn: signIn.prefault({}),
  authorization,
  impersonation: impersonation.prefault({}),
  locks: locks.prefault({}),
  limits: limits.prefault({}),
  state: state.prefault({}),
  audit,
  upstream,
  shutdown: shutdown.prefault({}),
  log: log.prefault({}),
})

/** Every field set, durations in milliseconds, paths absolute. */
export type Configuration = z.output<typeof configurationSchema>
