/** What works in a rules file, but perhaps not as meant. */
import type { LoadedDocument } from '../../config/document.ts'
import type { Path } from '../../config/path.ts'
import type { ConfigProblem } from '../../config/problem.ts'
import type { AccessRule, AccessRules, ResourceRule } from './schema.ts'

type RulesDocument = LoadedDocument<AccessRules>

/** Of a file without problems: denials that deny less than they seem to, and kinds in place of resources. */
export function warnOfRules(document: RulesDocument): ConfigProblem[] {
  return [...warnOfSingulars(document), ...warnOfDenials(document)]
}

/**
 * Singulars of Kubernetes' own resources. They match no request: as a deny such a rule denies nothing.
 * Resources of other groups are named as their authors like, so this is no problem but a warning.
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

/** Groups of Kubernetes itself have no dot in their name, or end so. */
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
        const message = `${JSON.stringify(name)} is the singular, which no request has`
        return [document.problem(at, message, `did you mean ${meant}?`)]
      }),
    ),
  )
}

/** Denials that a wider request passes by: rules match what a request names, as RBAC does. */
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
              'add "" if it is meant to',
            ),
          )
        }
        if (resourceNames !== undefined) {
          warnings.push(
            document.problem(
              [...at, 'resourceNames'],
              'does not deny list and watch without a name, which show these objects too',
              'leave resourceNames out if it is meant to',
            ),
          )
        }
        return warnings
      }),
    ]
  })
}

interface PassedBy {
  readonly by: readonly string[]
  readonly message: string
}

/** Which verbs do what a denied one does; a server-side apply is a patch, and creates. */
const PASSED_BY: Readonly<Record<string, PassedBy>> = {
  get: { by: ['list', 'watch'], message: 'the objects can still be read' },
  list: { by: ['watch'], message: 'the objects can still be read' },
  watch: { by: ['list'], message: 'the objects can still be read' },
  create: {
    by: ['patch', 'update'],
    message: 'objects can still be created (kubectl apply --server-side)',
  },
  update: { by: ['patch'], message: 'the objects can still be changed' },
  patch: { by: ['update'], message: 'the objects can still be changed' },
  delete: {
    by: ['deletecollection'],
    message: 'the objects can still be deleted, a single one by a fieldSelector',
  },
}

function warnOfVerbs(rule: AccessRule, position: number, document: RulesDocument): ConfigProblem[] {
  const { verbs, resources = [] } = rule
  // Subresources have no such ways around: pods/log is only got, serviceaccounts/token only created.
  const hasObjects = resources.some((one) => one.resources.some((name) => !name.includes('/')))
  if (!hasObjects || verbs.includes('*')) return []
  const covered = new Set(verbs)
  return verbs.flatMap((verb) => {
    const passed = PASSED_BY[verb]
    const missing = passed?.by.filter((other) => !covered.has(other)) ?? []
    if (passed === undefined || missing.length === 0) return []
    for (const other of missing) covered.add(other)
    const others = missing.join(' and ')
    return [
      document.problem(
        ['rules', position, 'verbs'],
        `denies ${verb} without ${others}: ${passed.message}`,
        `add ${others} if ${missing.length === 1 ? 'it is' : 'they are'} meant too`,
      ),
    ]
  })
}
