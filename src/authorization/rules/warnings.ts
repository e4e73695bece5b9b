/** Warns of rules that load but may not do what was intended. */
import type { LoadedDocument } from '../../config/document.ts'
import type { Path } from '../../config/path.ts'
import type { ConfigProblem } from '../../config/problem.ts'
import type { AccessRule, AccessRules, ResourceRule } from './schema.ts'

type RulesDocument = LoadedDocument<AccessRules>

/** Expects a file without problems. Finds singular resource names, and deny rules with gaps. */
export function warnOfRules(document: RulesDocument): ConfigProblem[] {
  return [...warnOfSingulars(document), ...warnOfDenials(document)]
}

/**
 * Kubernetes' own resources by their singular. No request has a singular name, so a deny rule for one
 * denies nothing. This is a warning and not a problem, because an aggregated API or a custom resource
 * may have any name.
 */
const PLURALS: ReadonlyMap<string, string> = new Map(
  `pods services secrets configmaps namespaces nodes events endpoints serviceaccounts
   persistentvolumes persistentvolumeclaims replicationcontrollers resourcequotas limitranges
   deployments daemonsets statefulsets replicasets controllerrevisions jobs cronjobs
   horizontalpodautoscalers poddisruptionbudgets endpointslices ingresses ingressclasses
   networkpolicies leases roles rolebindings clusterroles clusterrolebindings priorityclasses
   customresourcedefinitions apiservices storageclasses volumeattachments
   certificatesigningrequests`
    .split(/\s+/)
    .map((plural) => [plural.replace(/ies$/, 'y').replace(/(?<=ss)es$|s$/, ''), plural]),
)

/** Kubernetes' own groups have no dot in their name or end in `.k8s.io`. */
function hasOwnGroup({ apiGroups }: ResourceRule): boolean {
  return apiGroups.some((group) => !group.includes('.') || group.endsWith('.k8s.io'))
}

function warnOfSingulars(document: RulesDocument): ConfigProblem[] {
  return document.value.rules.flatMap((rule, i) =>
    (rule.resources ?? []).flatMap((resource, j) =>
      (hasOwnGroup(resource) ? resource.resources : []).flatMap((name, k) => {
        const [singular = '', ...subresource] = name.split('/')
        const plural = PLURALS.get(singular)
        if (plural === undefined) return []
        const meant = [plural, ...subresource].join('/')
        const at: Path = ['rules', i, 'resources', j, 'resources', k]
        const message = `${JSON.stringify(name)} is a singular, which matches no request`
        return [document.problem(at, message, `did you mean ${meant}?`)]
      }),
    ),
  )
}

/** Deny rules that a wider request evades: as in RBAC, rules match only what a request names. */
function warnOfDenials(document: RulesDocument): ConfigProblem[] {
  return document.value.rules.flatMap((rule, i) => {
    if (rule.effect !== 'deny') return []
    return [
      ...warnOfVerbs(rule, i, document),
      ...(rule.resources ?? []).flatMap(({ namespaces, resourceNames }, j) => {
        const at: Path = ['rules', i, 'resources', j]
        const warnings: ConfigProblem[] = []
        if (namespaces !== undefined && !namespaces.includes('') && !namespaces.includes('*')) {
          warnings.push(
            document.problem(
              [...at, 'namespaces'],
              'does not deny requests across all namespaces (kubectl get -A)',
              'add "" to deny them, too',
            ),
          )
        }
        if (resourceNames !== undefined) {
          warnings.push(
            document.problem(
              [...at, 'resourceNames'],
              'does not deny list and watch without a name, which return these objects, too',
              'omit resourceNames to deny them, too',
            ),
          )
        }
        return warnings
      }),
    ]
  })
}

interface Gap {
  /** Verbs that have the same effect as the denied one. */
  readonly others: readonly string[]
  readonly message: string
}

/** Gaps of a deny rule, by the verb that it denies. A server-side apply is a patch that creates. */
const GAPS: Readonly<Record<string, Gap>> = {
  get: { others: ['list', 'watch'], message: 'the objects can still be read' },
  list: { others: ['watch'], message: 'the objects can still be read' },
  watch: { others: ['list'], message: 'the objects can still be read' },
  create: {
    others: ['patch', 'update'],
    message: 'objects can still be created (kubectl apply --server-side)',
  },
  update: { others: ['patch'], message: 'the objects can still be changed' },
  patch: { others: ['update'], message: 'the objects can still be changed' },
  delete: {
    others: ['deletecollection'],
    message: 'the objects can still be deleted, a single one by a field selector',
  },
}

function warnOfVerbs(rule: AccessRule, position: number, document: RulesDocument): ConfigProblem[] {
  const { verbs, resources = [] } = rule
  // Subresources have no such gaps: pods/log only supports get, serviceaccounts/token only create.
  const hasObjects = resources.some((one) => one.resources.some((name) => !name.includes('/')))
  if (!hasObjects || verbs.includes('*')) return []
  const covered = new Set(verbs)
  return verbs.flatMap((verb) => {
    const gap = GAPS[verb]
    const missing = gap?.others.filter((other) => !covered.has(other)) ?? []
    if (gap === undefined || missing.length === 0) return []
    for (const other of missing) covered.add(other)
    return [
      document.problem(
        ['rules', position, 'verbs'],
        `denies ${verb} but not ${missing.join(' or ')}: ${gap.message}`,
        `add ${missing.join(' and ')} to deny ${missing.length === 1 ? 'it' : 'them'}, too`,
      ),
    ]
  })
}
