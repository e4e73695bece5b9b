/** AccessRules of a realistic size: 100 rules, most of them one per team. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { parse } from 'yaml'

const SHIPPED_RULES = join(import.meta.dirname, '..', '..', 'config', 'rules.yaml')
/** What every client needs; without them, Gatehouse warns about all other rules. */
const BASICS = ['discovery', 'self-reviews']

/** Engineers may act as any user of the bench, who may read. */
const IMPERSONATION = [
  {
    name: 'engineers-impersonate',
    effect: 'allow',
    subjects: { groups: ['oidc:engineers'] },
    verbs: ['impersonate'],
    resources: [{ apiGroups: [''], resources: ['users'] }],
  },
  {
    name: 'others-read',
    effect: 'allow',
    subjects: { users: ['bench-*'] },
    verbs: ['get'],
    resources: [{ apiGroups: ['*'], resources: ['*'] }],
  },
]

/** The shipped rules for discovery and proxy subresources, one per team, and those that allow the load. */
export function rules(impersonation = false): unknown {
  const shipped = parse(readFileSync(SHIPPED_RULES, 'utf8')) as { rules: { name: string }[] }

  const teams = Array.from({ length: 95 }, (_, i) => ({
    name: `team-${i}`,
    effect: 'allow',
    subjects: { groups: [`oidc:team-${i}`] },
    verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'],
    resources: [{ apiGroups: ['', 'apps'], resources: ['*'], namespaces: [`team-${i}-*`] }],
  }))
  return {
    apiVersion: 'gatehouse/v1',
    kind: 'AccessRules',
    default: 'deny',
    rules: [
      {
        name: 'no-proxy-subresources',
        effect: 'deny',
        verbs: ['*'],
        resources: [
          { apiGroups: [''], resources: ['services/proxy', 'pods/proxy', 'nodes/proxy'] },
        ],
        message: 'use kubectl port-forward',
      },
      ...shipped.rules.filter(({ name }) => BASICS.includes(name)),
      ...teams,
      {
        name: 'engineers-read',
        effect: 'allow',
        subjects: { groups: ['oidc:engineers'] },
        verbs: ['get', 'list', 'watch'],
        resources: [{ apiGroups: ['*'], resources: ['*'] }],
      },
      ...(impersonation ? IMPERSONATION : []),
      {
        name: 'engineers-exec',
        effect: 'allow',
        subjects: { groups: ['oidc:engineers'] },
        verbs: ['connect'],
        resources: [{ apiGroups: [''], resources: ['pods/exec'] }],
      },
    ],
  }
}
